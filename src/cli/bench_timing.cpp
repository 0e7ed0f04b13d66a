// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_timing.h"

#include <algorithm>

#include "base/clock.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "parallel/mpi_session.h"
#include "parallel/threads.h"

namespace galette {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

namespace {

/// Of the slowest rank.
double seconds_of(const std::function<void()>& run, Communicator& comm) {
  comm.barrier();
  const Clock::time_point start = Clock::now();
  run();
  return comm.max(seconds_since(start));
}

}  // namespace

double median_seconds(const std::function<void()>& run, int64_t repeat, Communicator& comm,
                      const std::function<void()>& prepare) {
  std::vector<double> seconds;
  for (int64_t i = -1; i < repeat; ++i) {
    prepare();
    const double elapsed = seconds_of(run, comm);
    if (i >= 0) seconds.push_back(elapsed);
  }
  return median(std::move(seconds));
}

std::pair<double, double> median_seconds_by_turns(const std::function<void()>& first,
                                                  const std::function<void()>& second,
                                                  int64_t repeat, Communicator& comm) {
  std::vector<double> seconds_of_first, seconds_of_second;
  for (int64_t i = -1; i < repeat; ++i) {
    const double one = seconds_of(first, comm), other = seconds_of(second, comm);
    if (i < 0) continue;
    seconds_of_first.push_back(one);
    seconds_of_second.push_back(other);
  }
  return {median(std::move(seconds_of_first)), median(std::move(seconds_of_second))};
}

int run_bench(bool json,
              const std::function<nlohmann::ordered_json(MpiCommunicator& comm)>& measure,
              const std::function<void(const nlohmann::ordered_json& result,
                                       const std::string& threads)>& print_table) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  require_complete_world(comm.size());
  const std::string threads = divide_threads(comm.handle());
  const nlohmann::ordered_json result = measure(comm);
  if (json) {
    log::info("{}", result.dump());
  } else {
    print_table(result, threads);
  }
  return kExitDone;
}

}  // namespace galette
