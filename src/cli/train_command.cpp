// SPDX-License-Identifier: Apache-2.0
#include "cli/train_command.h"

#include <memory>
#include <optional>

#include "base/exit_code.h"
#include "base/log.h"
#include "io/dataset_file.h"
#include "io/together.h"
#include "parallel/mpi_communicator.h"
#include "parallel/mpi_session.h"
#include "parallel/threads.h"
#include "training/preemption.h"
#include "training/run_directory.h"
#include "training/train_options.h"
#include "training/trainer.h"

namespace galette {
namespace {

constexpr double kGiB = 1 << 30;

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

void log_summary(const TrainCommand& command, const io::Dataset& data, const std::string& place,
                 const std::string& threads) {
  const TrainOptions& o = command.options;
  const io::DatasetInfo& info = data.info();
  log::info("Training options:\n{}", command.table.to_json().dump(2));
  log::info("Output directory:    {}", place);
  log::info("Ranks:               {}", *o.gpus);
  log::info("Threads:             {}", threads);
  log::info("Batch:               {} ({} at a time on each rank)", o.batch, *o.batch_gpu);
  log::info("Duration:            {} kimg", o.kimg);
  log::info("Dataset:             {}", o.data);
  log::info("Images:              {}, {} with x-flips", info.num_images, data.size());
  log::info("Resolution:          {0}x{0}, {1} channels", info.resolution, info.channels);
  log::info("Labels:              {}", data.label_dim());
}

int train(TrainCommand& command) {
  TrainOptions& options = command.options;
  MpiCommunicator comm(MPI_COMM_WORLD);
  const PreemptionSignals signals;
  require_complete_world(comm.size());
  check_options(options, comm.size());
  const io::Dataset data = open_dataset(options, comm.handle());
  const DatasetFacts facts = facts_of(data.info());
  resolve_options(options, comm.size(), facts);
  const std::string threads = divide_threads(comm.handle());
  if (options.dry_run) {
    log_summary(command, data, "none (dry run)", threads);
    return kExitDone;
  }
  const RunDirectory run = RunDirectory::prepare(options, command.table, facts, comm.handle());
  log::append_to(run.file("log.txt"));
  log_summary(command, data, run.path(), threads);
  return Trainer(options, data, run, comm, signals).run();
}

}  // namespace

void add_train_command(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("train", "Trains a generator, or goes on with a run");
  auto command = std::make_shared<TrainCommand>();
  command->table.add_to(*sub);
  sub->callback([command, &action] { action = [command] { return train(*command); }; });
}

}  // namespace galette
