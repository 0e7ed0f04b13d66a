// SPDX-License-Identifier: Apache-2.0
// `galette bench reduce` sums float32 tensors of 1 kB, 4 kB, ... bytes over all ranks in place. The
// speed is that of the tensor: bytes / seconds, by the median of several runs of the slowest rank.
// Small sums are too short for the clock, so a run makes many of them.
#include "cli/bench_reduce.h"

#include <algorithm>
#include <memory>

#include "base/log.h"
#include "base/option_table.h"
#include "cli/bench_timing.h"
#include "io/check.h"
#include "parallel/mpi_communicator.h"

namespace galette {
namespace {

constexpr double kBytesPerGb = 1e9;
constexpr int64_t kBytesPerMb = 1'000'000;
constexpr int64_t kSmallest = 1000;          // bytes
constexpr int64_t kGrowth = 4;               // from one size to the next
constexpr int64_t kBytesPerRun = 4'000'000;  // small sums are repeated until they move so many
constexpr int64_t kMostPerRun = 200;

struct ReduceBench {
  int64_t max_size = 256;
  int64_t repeat = 5;
  bool json = false;
  OptionTable table;

  ReduceBench() {
    const Defines nothing = Defines::nothing;
    table.add("max-size", nothing, max_size, "size of the largest sum in MB", {1, 4000});
    table.add("repeat", nothing, repeat, "timed runs of each measurement", {1, 1000});
    table.add_flag("json", json, "print one JSON object");
  }
};

nlohmann::ordered_json measure_size(int64_t bytes, int64_t repeat, MpiCommunicator& comm) {
  const int64_t calls = std::clamp(kBytesPerRun / bytes, int64_t{1}, kMostPerRun);
  // Zeros stay zeros; other values would grow to infinity.
  const at::Tensor values = at::zeros({bytes / static_cast<int64_t>(sizeof(float))});
  const auto galette = [&] {
    for (int64_t i = 0; i < calls; ++i) comm.all_reduce(values, ReduceOp::sum);
  };
  const auto bare = [&] {
    for (int64_t i = 0; i < calls; ++i) {
      MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, values.data_ptr(), static_cast<int>(values.numel()),
                              MPI_FLOAT, MPI_SUM, comm.handle()));
    }
  };
  const auto runs = static_cast<double>(calls);
  const double ours = median_seconds(galette, repeat, comm) / runs;
  const double plain = median_seconds(bare, repeat, comm) / runs;
  const double gb = static_cast<double>(values.nbytes()) / kBytesPerGb;
  return {{"bytes", values.nbytes()},   {"seconds", ours},
          {"mpi_seconds", plain},       {"gb_per_s", gb / ours},
          {"mpi_gb_per_s", gb / plain}, {"share_of_mpi", plain / ours}};
}

nlohmann::ordered_json measure(const ReduceBench& o, MpiCommunicator& comm) {
  nlohmann::ordered_json sizes = nlohmann::ordered_json::array();
  const int64_t largest = o.max_size * kBytesPerMb;
  for (int64_t bytes = kSmallest; bytes < largest; bytes *= kGrowth) {
    sizes.push_back(measure_size(bytes, o.repeat, comm));
  }
  sizes.push_back(measure_size(largest, o.repeat, comm));
  return {{"ranks", comm.size()}, {"repeat", o.repeat}, {"sizes", sizes}};
}

void print_table(const nlohmann::ordered_json& r, const std::string& threads) {
  log::info("{}", threads);
  log::info("{:>12}{:>12}{:>10}{:>15}{:>10}", "kB", "us", "GB/s", "MPI alone: us", "reaches");
  for (const auto& line : r["sizes"]) {
    log::info("{:12.0f}{:12.1f}{:10.3f}{:15.1f}{:8.0f} %", line["bytes"].get<double>() / kSmallest,
              1e6 * line["seconds"].get<double>(), line["gb_per_s"].get<double>(),
              1e6 * line["mpi_seconds"].get<double>(), 100 * line["share_of_mpi"].get<double>());
  }
}

int bench_reduce(const ReduceBench& bench) {
  return run_bench(
      bench.json, [&](MpiCommunicator& comm) { return measure(bench, comm); }, print_table);
}

}  // namespace

void add_bench_reduce(CLI::App& bench, Action& action) {
  CLI::App* reduce =
      bench.add_subcommand("reduce", "Times sums over the ranks beside MPI_Allreduce alone");
  auto command = std::make_shared<ReduceBench>();
  command->table.add_to(*reduce);
  reduce->callback([command, &action] { action = [command] { return bench_reduce(*command); }; });
}

}  // namespace galette
