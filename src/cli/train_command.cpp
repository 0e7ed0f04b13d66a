// SPDX-License-Identifier: Apache-2.0
#include "cli/train_command.h"

#include <chrono>
#include <memory>
#include <optional>

#include <fmt/ranges.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "io/dataset_file.h"
#include "io/together.h"
#include "parallel/device_choice.h"
#include "parallel/mpi_communicator.h"
#include "parallel/mpi_session.h"
#include "parallel/threads.h"
#include "parallel/watchdog.h"
#include "training/memory_estimate.h"
#include "training/preemption.h"
#include "training/restart_record.h"
#include "training/run_directory.h"
#include "training/run_lock.h"
#include "training/run_log.h"
#include "training/snapshot_metrics.h"
#include "training/train_detectors.h"
#include "training/train_networks.h"
#include "training/train_options.h"
#include "training/trainer.h"

namespace galette {
namespace {

constexpr double kGiB = 1 << 30;
/// Reading a large dataset or waiting for a lock may take any time; silent ranks are found anyhow.
constexpr double kNoLimit = -1;

struct TrainCommand {
  TrainOptions options;
  OptionTable table = train_option_table(options);
};

/// Opens on every rank; all fail when one does.
io::Dataset open_dataset(const TrainOptions& options, MPI_Comm comm) {
  std::optional<io::Dataset> data;
  io::together(comm, [&] {
    io::DatasetView view;
    view.labels = options.cond;
    view.mirror = options.mirror;
    view.cache_bytes = static_cast<int64_t>(options.cache_mem * kGiB);
    data = io::Dataset::open(options.data, view);
  });
  return std::move(*data);
}

DatasetFacts facts_of(const io::DatasetInfo& info) {
  return {info.name,     info.num_images, info.resolution,
          info.channels, info.label_dim,  info.fingerprint};
}

/// What the user should know of options and data that are not made use of.
void log_notices(const TrainCommand& command, const DatasetFacts& facts,
                 const TrainDetectors& detectors) {
  for (const std::string& text : unused_options(command.options, command.table)) {
    log::warning("{}", text);
  }
  if (!command.options.cond && facts.label_dim > 0) {
    log::info("{} has labels; give --cond=true to train with them.", command.options.data);
  }
  const std::vector<std::string> left_out = metrics_left_out(command.options, detectors.kinds());
  if (!left_out.empty()) {
    log::warning("--metrics: {} cannot be computed; training goes on without",
                 fmt::format("{}", fmt::join(left_out, ", ")));
  }
}

/// For the metrics of a new run, which refuses what it will not be able to do, or of one that goes
/// on whatever happened to the files meanwhile.
TrainDetectors open_detectors(const TrainOptions& options, MpiCommunicator& comm) {
  const bool has_run = !options.run_dir.empty() && holds_run(options.run_dir);
  const bool goes_on = comm.all(comm.rank() != 0 || has_run);  // as the first rank sees it
  TrainDetectors detectors = load_train_detectors(options, goes_on, comm.handle());
  if (detectors.is_complete) check_keep_best(options, detectors.kinds());
  return detectors;
}

void log_summary(const TrainCommand& command, const io::Dataset& data, const std::string& place,
                 const std::string& threads, const std::string& device) {
  const TrainOptions& o = command.options;
  const io::DatasetInfo& info = data.info();
  log::info("Training options:\n{}", command.table.to_json().dump(2));
  log::info("Output directory:    {}", place);
  log::info("Ranks:               {}", *o.gpus);
  log::info("Device:              {}", device);
  log::info("Threads:             {}", threads);
  log::info("Batch:               {} ({} at a time on each rank)", o.batch, *o.batch_gpu);
  log::info("Duration:            {} kimg", o.kimg);
  log::info("Dataset:             {}", o.data);
  log::info("Images:              {}, {} with x-flips", info.num_images, data.size());
  log::info("Resolution:          {0}x{0}, {1} channels", info.resolution, info.channels);
  log::info("Labels:              {}", data.label_dim());
}

/// What of the surroundings the ranks share before there is a run directory.
struct TrainProcess {
  MpiCommunicator& comm;
  const DeviceChoice& device;
  Communicator& tensors;
  const PreemptionSignals& signals;
  Watchdog& watchdog;
  std::chrono::system_clock::time_point start;
};

int train_watched(TrainCommand& command, const TrainProcess& process) {
  TrainOptions& options = command.options;
  MpiCommunicator& comm = process.comm;
  std::optional<WatchedSection> section(std::in_place, "start-up", kNoLimit);
  check_options(options, comm.size());
  const io::Dataset data = open_dataset(options, comm.handle());
  const DatasetFacts facts = facts_of(data.info());
  resolve_options(options, comm.size(), facts);
  const std::string threads = divide_threads(comm.handle());
  const TrainDetectors detectors = open_detectors(options, comm);
  log_notices(command, facts, detectors);
  set_gpu_arithmetic(options);
  if (options.dry_run) {
    log_summary(command, data, "none (dry run)", threads, process.device.text);
    log_sizes(options, {facts.resolution, facts.channels, data.label_dim()});
    return kExitDone;
  }
  const RunDirectory run = RunDirectory::prepare(options, command.table, facts, comm.handle());
  std::optional<RunLock> lock;
  io::on_root(comm.handle(),
              [&] { lock.emplace(run.path(), RestartRecord(run.path()).generation() + 1); });
  RunLog run_log(run.path());
  log_summary(command, data, run.path(), threads, process.device.text);
  section.reset();
  return Trainer({options, run, comm, process.tensors, process.signals, process.watchdog, run_log,
                  process.start},
                 data, detectors)
      .run();
}

int train(TrainCommand& command) {
  const auto start = std::chrono::system_clock::now();
  command.table.finish("config");
  const PreemptionSignals signals;
  MpiCommunicator comm(MPI_COMM_WORLD);
  Watchdog watchdog(comm.handle(), command.options.watchdog);
  require_complete_world(comm.size());
  const DeviceChoice device = choose_device(device_wish(command.options.device), comm);
  command.options.gpu = device.gpu;
  const std::unique_ptr<Communicator> gpus = make_device_communicator(device, comm);
  const int code =
      train_watched(command, {comm, device, gpus ? *gpus : comm, signals, watchdog, start});
  watchdog.stop();
  return code;
}

}  // namespace

void add_train_command(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("train", "Trains a generator, or goes on with a run");
  auto command = std::make_shared<TrainCommand>();
  command->table.add_to(*sub, Sources::environment_and_file);
  sub->footer(kExitCodesText);
  sub->callback([command, &action] { action = [command] { return train(*command); }; });
}

}  // namespace galette
