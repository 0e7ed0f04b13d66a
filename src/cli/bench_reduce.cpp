// SPDX-License-Identifier: Apache-2.0
// `galette bench reduce` sums float32 tensors of 1 kB, 4 kB, ... bytes over all ranks in place. The
// speed is that of the tensor: bytes / seconds, by the median of several runs of the slowest rank.
// Small sums are too short for the clock, so a run makes many of them. Runs of Galette's sums and
// of MPI_Allreduce alone take turns.
//
// Then the gradients of a plain network are summed during the backward pass that makes them. Of the
// time that the sum alone takes, this hides
//
//   1 - (seconds of both together - seconds of the backward pass alone) / seconds of the sum alone
//
// which is below zero where the ranks have no cores or network to spare.
#include "cli/bench_reduce.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include "base/log.h"
#include "base/option_table.h"
#include "cli/bench_timing.h"
#include "io/check.h"
#include "parallel/gradient_reducer.h"
#include "parallel/mpi_communicator.h"

namespace galette {
namespace {

constexpr double kBytesPerGb = 1e9;
constexpr int64_t kBytesPerMb = 1'000'000;
constexpr int64_t kSmallest = 1000;          // bytes
constexpr int64_t kGrowth = 4;               // from one size to the next
constexpr int64_t kBytesPerRun = 4'000'000;  // small sums are repeated until they move so many
constexpr int64_t kMostPerRun = 200;
constexpr int64_t kLargestNetwork = 64;  // MB

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
  const auto [our_run, bare_run] = median_seconds_by_turns(galette, bare, repeat, comm);
  const double ours = our_run / runs, plain = bare_run / runs;
  const double gb = static_cast<double>(values.nbytes()) / kBytesPerGb;
  return {{"bytes", values.nbytes()},   {"seconds", ours},
          {"mpi_seconds", plain},       {"gb_per_s", gb / ours},
          {"mpi_gb_per_s", gb / plain}, {"share_of_mpi", plain / ours}};
}

/// Layers of kWidth x kWidth weights with kRows rows of activations.
class PlainNetwork {
 public:
  explicit PlainNetwork(int64_t layers) {
    for (int64_t i = 0; i < layers; ++i) {
      weights_.push_back(arena_.add_parameter(fmt::format("w{}", i), {kWidth, kWidth},
                                              Init::normal(1 / std::sqrt(kWidth))));
    }
    arena_.allocate();
    arena_.initialize(SampleRng(0), 1);
    arena_.enable_gradients();
  }

  static int64_t layer_bytes() { return kWidth * kWidth * static_cast<int64_t>(sizeof(float)); }
  ParameterArena& arena() { return arena_; }

  void forward() {
    arena_.clear_gradients();
    at::Tensor x = at::ones({kRows, kWidth});
    for (const at::Tensor& weight : weights_) x = x.mm(weight).relu();
    loss_ = x.sum();
  }
  void backward() { torch::autograd::backward({loss_}, {}); }

 private:
  static constexpr int64_t kWidth = 1024;
  static constexpr int64_t kRows = 256;
  ParameterArena arena_{at::kFloat};
  std::vector<at::Tensor> weights_;
  at::Tensor loss_;
};

nlohmann::ordered_json measure_overlap(const ReduceBench& o, MpiCommunicator& comm) {
  const int64_t bytes = std::min(o.max_size, kLargestNetwork) * kBytesPerMb;
  PlainNetwork network(std::max<int64_t>(2, bytes / PlainNetwork::layer_bytes()));
  const at::Tensor gradients = network.arena().flat_gradients();
  const BucketPlan buckets(gradients.numel(),
                           bucket_bytes(at::kCPU) / static_cast<int64_t>(sizeof(float)), 1);
  GradientReducer reducer(network.arena(), comm, {buckets, false, true});
  const auto forward = [&] { network.forward(); };
  const double pass = median_seconds([&] { network.backward(); }, o.repeat, comm, forward);
  const double sum =
      median_seconds([&] { comm.all_reduce(gradients, ReduceOp::sum); }, o.repeat, comm);
  const auto both = [&] {
    reducer.begin_last_pass(0);
    network.backward();
    reducer.finish(0);
  };
  const double together = median_seconds(both, o.repeat, comm, forward);
  return {{"bytes", gradients.nbytes()},
          {"backward_seconds", pass},
          {"sum_seconds", sum},
          {"together_seconds", together},
          {"hidden_share", 1 - (together - pass) / sum}};
}

nlohmann::ordered_json measure(const ReduceBench& o, MpiCommunicator& comm) {
  nlohmann::ordered_json sizes = nlohmann::ordered_json::array();
  const int64_t largest = o.max_size * kBytesPerMb;
  for (int64_t bytes = kSmallest; bytes < largest; bytes *= kGrowth) {
    sizes.push_back(measure_size(bytes, o.repeat, comm));
  }
  sizes.push_back(measure_size(largest, o.repeat, comm));
  return {{"ranks", comm.size()},
          {"repeat", o.repeat},
          {"sizes", sizes},
          {"overlap", measure_overlap(o, comm)}};
}

void print_table(const nlohmann::ordered_json& r, const std::string& threads) {
  log::info("{}", threads);
  log::info("{:>12}{:>12}{:>10}{:>15}{:>10}", "kB", "us", "GB/s", "MPI alone: us", "reaches");
  for (const auto& line : r["sizes"]) {
    log::info("{:12.0f}{:12.1f}{:10.3f}{:15.1f}{:8.0f} %", line["bytes"].get<double>() / kSmallest,
              1e6 * line["seconds"].get<double>(), line["gb_per_s"].get<double>(),
              1e6 * line["mpi_seconds"].get<double>(), 100 * line["share_of_mpi"].get<double>());
  }
  const auto& overlap = r["overlap"];
  const auto ms = [&](const char* name) { return 1000 * overlap[name].get<double>(); };
  log::info(
      "{:.0f} MB of gradients: backward pass {:.1f} ms, sum {:.1f} ms, together {:.1f} ms: {:.0f} "
      "% "
      "of the sum hidden",
      overlap["bytes"].get<double>() / kBytesPerMb, ms("backward_seconds"), ms("sum_seconds"),
      ms("together_seconds"), 100 * overlap["hidden_share"].get<double>());
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
