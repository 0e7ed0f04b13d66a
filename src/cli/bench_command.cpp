// SPDX-License-Identifier: Apache-2.0
// `galette bench step` runs each phase of a training iteration until it is as fast as in training,
// then several times on the clock. A run lasts as long as its slowest rank; a phase counts by the
// median of its runs:
//
//   sec/kimg = 1000 / batch * (sum over phases of seconds / interval + seconds of the average)
#include "cli/bench_command.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <vector>

#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include "base/log.h"
#include "base/memory_use.h"
#include "cli/bench_checkpoint.h"
#include "cli/bench_image.h"
#include "cli/bench_kernels.h"
#include "cli/bench_networks.h"
#include "cli/bench_reduce.h"
#include "cli/bench_timing.h"
#include "cli/op_profile.h"
#include "parallel/device_choice.h"
#include "parallel/gpu.h"
#include "parallel/mpi_communicator.h"
#include "training/ema.h"
#include "training/phases.h"
#include "training/train_networks.h"

namespace galette {
namespace {

constexpr double kBytesPerGb = 1e9;

struct BenchOptions {
  TrainOptions train;
  int64_t resolution = 0;
  int64_t repeat = 5;
  bool profile = false;
  bool count_ops = false;
  bool json = false;
};

OptionTable bench_option_table(BenchOptions& o) {
  const Defines nothing = Defines::nothing;
  OptionTable table;
  table
      .add("cfg", nothing, o.train.cfg, "configuration",
           {"creps", "stylegan2", "stylegan3-t", "stylegan3-r"})
      .required();
  table.add("resolution", nothing, o.resolution, "height and width of the images", {4, 8192})
      .required();
  table.add("cbase", nothing, o.train.cbase, "channel base", {1});
  table.add("cmax", nothing, o.train.cmax, "channel maximum", {1});
  table.add("batch", nothing, o.train.batch, "total batch over all ranks", {1, 1 << 24}).required();
  table.add("batch-gpu", nothing, o.train.batch_gpu, "samples that a rank holds at a time", {1})
      .default_text("batch / ranks");
  table.add("mbstd-group", nothing, o.train.mbstd_group, "samples of a minibatch-std group", {1});
  table.add_or_auto("gamma", nothing, o.train.gamma, "R1 weight", {0}).default_text("auto");
  table.add("map-depth", nothing, o.train.map_depth, "layers of the mapping network", {1, 64})
      .default_text("8; stylegan3: 2");
  table.add("aug", nothing, o.train.aug, "augmentation", {"noaug", "fixed"});
  table.add("p", nothing, o.train.p, "probability of each transform with --aug=fixed", {0, 1});
  table.add("precision", nothing, o.train.precision, "arithmetic of the large layers",
            {"auto", "fp32", "tf32", "fp16", "bf16", "fp64"});
  table.add("nhwc", nothing, o.train.nhwc, "channels-last tensors in the 16-bit layers (GPUs)");
  add_device_option(table, o.train.device);
  add_graphs_option(table, o.train.graphs);
  table.add("repeat", nothing, o.repeat, "timed runs of each phase", {1, 1000});
  table.add_flag(
      "profile", o.profile,
      "list the operators that each phase spends its time in; on GPUs, that of starting them");
  table.add_flag("count-ops", o.count_ops,
                 "count the operations of each phase, which on GPUs are launches of kernels");
  table.add_flag("json", o.json, "print one JSON object");
  return table;
}

/// A step is measured without augmentation unless one is asked for.
BenchOptions initial_options() {
  BenchOptions options;
  options.train.aug = "noaug";
  return options;
}

struct BenchCommand {
  BenchOptions options = initial_options();
  OptionTable table = bench_option_table(options);
};

struct Timing {
  std::string name;
  int64_t interval = 1;
  double seconds = 0;              ///< median
  bool is_graph = false;           ///< whether the runs were repeated as a CUDA graph
  nlohmann::ordered_json profile;  ///< of one more run on this rank; null unless asked for
  std::vector<OpProfile::Count> operations;  ///< the same
};

int64_t sum_of(const std::vector<OpProfile::Count>& counts) {
  int64_t sum = 0;
  for (const OpProfile::Count& count : counts) sum += count.calls;
  return sum;
}

/// Times a part of a step, then looks into one more run of it as the options ask.
Timing time_part(const std::string& name, int64_t interval, const std::function<void()>& run,
                 const BenchOptions& o, Communicator& comm) {
  const auto run_and_wait = [&] {
    run();
    wait_for_device(device_of(o.train.gpu));
  };
  if (o.train.gpu >= 0)
    for (int64_t i = 0; i < PhaseGraphs::kFirstRuns; ++i) run_and_wait();
  Timing timing;
  timing.name = name;
  timing.interval = interval;
  timing.seconds = median_seconds(run_and_wait, o.repeat, comm);
  if (!o.profile && !o.count_ops) return timing;
  const OpProfile profile;
  run();
  if (o.profile) timing.profile = profile.report();
  if (o.count_ops) timing.operations = profile.operations();
  return timing;
}

RealBatch random_images(const TrainOptions& o, int64_t resolution) {
  const int64_t local = o.batch / *o.gpus;
  const at::TensorOptions networks = tensor_options(o);
  const at::Tensor images =
      at::randint(256, {local, kBenchChannels, resolution, resolution}, at::kByte);
  return {images.to(networks.device()), at::zeros({local, 0}, networks)};
}

std::vector<Timing> time_phases(const BenchOptions& o, Communicator& comm) {
  const TrainOptions& train = o.train;
  const ImageShape shape{o.resolution, kBenchChannels, 0};
  TrainState state = make_train_state(train, shape, optimizer_share(train, comm.rank()));
  Draws draws(SampleRng(static_cast<uint64_t>(train.seed)), tensor_options(train));
  const LossConfig losses = loss_config(train);
  const auto no_labels = [](Phase, const std::vector<int64_t>& samples) {
    return at::zeros({static_cast<int64_t>(samples.size()), 0});
  };
  Statistics statistics;
  const BatchPlan plan{train.batch, comm.size(), comm.rank(), *train.batch_gpu};
  const std::optional<AugmentPipe> pipe = make_augment_pipe(train, shape);
  PhaseRunner runner(state, losses, plan, comm,
                     PhaseInputs(state, losses, draws, no_labels, pipe ? &*pipe : nullptr),
                     statistics, phase_execution(train));
  const RealBatch reals = random_images(train, o.resolution);

  std::vector<Timing> timings;
  for (const Phase phase : kPhases) {
    if (!losses.due(phase, 0)) continue;
    timings.push_back(time_part(
        phase_name(phase), losses.interval(phase), [&] { runner.run(phase, reals); }, o, comm));
    timings.back().is_graph = runner.graphs().is_proven(phase);
  }
  timings.push_back(time_part(
      "EMA", 1, [&] { update_ema(*state.g_ema, *state.g, 0.5); }, o, comm));
  return timings;
}

/// Operations of an iteration, amortised over the phases that not every one has.
double operations_per_iteration(const std::vector<Timing>& timings) {
  double operations = 0;
  for (const Timing& t : timings)
    operations += static_cast<double>(sum_of(t.operations)) / static_cast<double>(t.interval);
  return operations;
}

double seconds_per_kimg(const std::vector<Timing>& timings, int64_t batch) {
  double iteration = 0;
  for (const Timing& t : timings) iteration += t.seconds / static_cast<double>(t.interval);
  return 1000 * iteration / static_cast<double>(batch);
}

nlohmann::ordered_json report(const BenchOptions& o, const std::vector<Timing>& timings,
                              double peak_gb) {
  nlohmann::ordered_json phases;
  for (const Timing& t : timings) {
    phases[t.name] = {{"interval", t.interval}, {"seconds", t.seconds}, {"graph", t.is_graph}};
    if (!t.profile.is_null()) phases[t.name]["profile"] = t.profile;
    if (!o.count_ops) continue;
    nlohmann::ordered_json& operations = phases[t.name]["operations"];
    for (const OpProfile::Count& count : t.operations) operations[count.op] = count.calls;
  }
  nlohmann::ordered_json result{
      {"cfg", o.train.cfg},
      {"resolution", o.resolution},
      {"cbase", o.train.cbase},
      {"cmax", o.train.cmax},
      {"batch", o.train.batch},
      {"batch_gpu", *o.train.batch_gpu},
      {"gamma", *o.train.gamma},
      {"aug", o.train.aug},
      {"p", o.train.aug == "fixed" ? o.train.p : 0},
      {"precision", o.train.precision},
      {"nhwc", o.train.nhwc},
      {"device", c10::DeviceTypeName(device_of(o.train.gpu).type(), true)},
      {"ranks", *o.train.gpus},
      {"threads_per_rank", at::get_num_threads()},
      {"repeat", o.repeat},
      {"phases", phases},
      {"sec_per_kimg", seconds_per_kimg(timings, o.train.batch)},
      {"peak_memory_gb", peak_gb}};
  if (o.count_ops) result["operations_per_iteration"] = operations_per_iteration(timings);
  return result;
}

/// The first operators of each phase's profile, if there is one.
void print_profiles(const nlohmann::ordered_json& phases) {
  constexpr size_t kShown = 12;
  for (const auto& [name, phase] : phases.items()) {
    if (!phase.contains("profile")) continue;
    log::info("{}: seconds and calls of each operator, without those that it calls", name);
    const auto& lines = phase["profile"];
    for (size_t i = 0; i < std::min(kShown, lines.size()); ++i) {
      log::info("{:9.4f}{:7}  {}", lines[i]["seconds"].get<double>(),
                lines[i]["calls"].get<int64_t>(), lines[i]["op"].get<std::string>());
    }
  }
}

/// The most frequent operations of each phase, and of an iteration, if they were counted.
void print_operations(const nlohmann::ordered_json& r) {
  constexpr size_t kShown = 8;
  if (!r.contains("operations_per_iteration")) return;
  for (const auto& [name, phase] : r["phases"].items()) {
    int64_t sum = 0;
    std::vector<std::string> texts;
    for (const auto& [op, calls] : phase["operations"].items()) {
      sum += calls.get<int64_t>();
      if (texts.size() < kShown) texts.push_back(fmt::format("{} {}", calls.get<int64_t>(), op));
    }
    log::info("{:<6}{:6} operations: {}", name, sum, fmt::join(texts, ", "));
  }
  log::info("{:.0f} operations in an iteration on average, the lazy phases counted by their share",
            r["operations_per_iteration"].get<double>());
}

void print_table(const nlohmann::ordered_json& r, const std::string& threads) {
  log::info("{} at {}x{}, cbase {}, cmax {}, batch {} ({} at a time on each rank)",
            r["cfg"].get<std::string>(), r["resolution"].get<int64_t>(),
            r["resolution"].get<int64_t>(), r["cbase"].get<int64_t>(), r["cmax"].get<int64_t>(),
            r["batch"].get<int64_t>(), r["batch_gpu"].get<int64_t>());
  log::info("{}", threads);
  for (const auto& [name, phase] : r["phases"].items()) {
    const auto interval = phase["interval"].get<int64_t>();
    log::info("{:<6}{:9.4f} s{}", name, phase["seconds"].get<double>(),
              interval > 1 ? fmt::format("  every {}th iteration", interval) : "");
  }
  log::info("{:.1f} sec/kimg, {:.2f} GB of memory at most in a rank",
            r["sec_per_kimg"].get<double>(), r["peak_memory_gb"].get<double>());
  if (r.contains("peak_gpu_memory_gb"))
    log::info("{:.2f} GB of a GPU at most", r["peak_gpu_memory_gb"].get<double>());
  print_profiles(r["phases"]);
  print_operations(r);
}

/// What the tensors of a rank took at most.
double peak_gpu_gb(at::Device device, Communicator& comm) {
  return comm.max(static_cast<double>(take_peak_gpu_memory(device).allocated)) / kBytesPerGb;
}

nlohmann::ordered_json measure(BenchOptions& o, MpiCommunicator& comm) {
  const DeviceChoice device = choose_device(device_wish(o.train.device), comm);
  o.train.gpu = device.gpu;
  check_device(o.train);
  const std::unique_ptr<Communicator> gpus = make_device_communicator(device, comm);
  resolve_for_bench(o.train, o.resolution, comm.size());
  set_gpu_arithmetic(o.train);
  const std::vector<Timing> timings = time_phases(o, gpus ? *gpus : comm);
  const double peak_gb = comm.max(static_cast<double>(peak_resident_bytes())) / kBytesPerGb;
  nlohmann::ordered_json result = report(o, timings, peak_gb);
  if (device.gpu >= 0) result["peak_gpu_memory_gb"] = peak_gpu_gb(device_of(device.gpu), comm);
  return result;
}

int bench_step(BenchOptions& o) {
  return run_bench(
      o.json, [&](MpiCommunicator& comm) { return measure(o, comm); }, print_table);
}

}  // namespace

void add_bench_command(CLI::App& app, Action& action) {
  CLI::App* bench = app.add_subcommand("bench", "Measures speed and memory");
  bench->require_subcommand(1);
  CLI::App* step =
      bench->add_subcommand("step", "Times the phases of a training iteration on random images");
  auto command = std::make_shared<BenchCommand>();
  command->table.add_to(*step);
  step->callback(
      [command, &action] { action = [command] { return bench_step(command->options); }; });
  add_bench_image(*bench, action);
  add_bench_checkpoint(*bench, action);
  add_bench_kernels(*bench, action);
  add_bench_reduce(*bench, action);
}

}  // namespace galette
