// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_timing.h"

#include <algorithm>
#include <chrono>

#include "base/exit_code.h"
#include "base/log.h"
#include "parallel/mpi_session.h"
#include "parallel/threads.h"

namespace galette {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

double median_seconds(const std::function<void()>& run, int64_t repeat, Communicator& comm,
                      const std::function<void()>& prepare) {
  std::vector<double> seconds;
  for (int64_t i = -1; i < repeat; ++i) {
    prepare();
    comm.barrier();
    const auto start = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const double slowest = comm.max(elapsed.count());
    if (i >= 0) seconds.push_back(slowest);
  }
  return median(std::move(seconds));
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
