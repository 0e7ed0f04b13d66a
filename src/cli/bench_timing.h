// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "parallel/mpi_communicator.h"

namespace galette {

/// Of an even number, the mean of the two in the middle.
double median(std::vector<double> values);

/// Median over `repeat` runs, after one to warm up, of the seconds that the slowest rank takes.
/// `prepare` runs before each of them, off the clock. Collective.
double median_seconds(
    const std::function<void()>& run, int64_t repeat, Communicator& comm,
    const std::function<void()>& prepare = [] {});

/// The same for two ways to one end, by turns: what slows the machine for a while slows both.
std::pair<double, double> median_seconds_by_turns(const std::function<void()>& first,
                                                  const std::function<void()>& second,
                                                  int64_t repeat, Communicator& comm);

/// What is alike in benchmarks: measures on all ranks of the world, with the threads divided among
/// them, and prints the result as one JSON object or as a table, which is told how the threads were
/// divided. Returns the exit code. Collective.
int run_bench(bool json,
              const std::function<nlohmann::ordered_json(MpiCommunicator& comm)>& measure,
              const std::function<void(const nlohmann::ordered_json& result,
                                       const std::string& threads)>& print_table);

}  // namespace galette
