// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "parallel/communicator.h"

namespace galette {

/// Of an even number, the mean of the two in the middle.
double median(std::vector<double> values);

/// Median over `repeat` runs, after one to warm up, of the seconds that the slowest rank takes.
/// `prepare` runs before each of them, off the clock. Collective.
double median_seconds(
    const std::function<void()>& run, int64_t repeat, Communicator& comm,
    const std::function<void()>& prepare = [] {});

}  // namespace galette
