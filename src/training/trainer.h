// SPDX-License-Identifier: Apache-2.0
// The training loop: iterations, ticks, snapshots, checkpoints, and stopping when asked to.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "base/progress.h"
#include "io/dataset_file.h"
#include "io/prefetcher.h"
#include "parallel/mpi_communicator.h"
#include "training/ema.h"
#include "training/image_grid.h"
#include "training/infinite_sampler.h"
#include "training/phases.h"
#include "training/preemption.h"
#include "training/run_directory.h"
#include "training/tick_log.h"
#include "training/train_options.h"

namespace galette {

class Trainer {
 public:
  /// Resolved options; everything given must outlive the trainer. Collective, as all of it.
  Trainer(const TrainOptions& options, const io::Dataset& data, const RunDirectory& run,
          MpiCommunicator& comm, const PreemptionSignals& signals);

  /// Trains until the end or until asked to stop; returns the exit code.
  int run();

 private:
  /// What the end of an iteration leads to, agreed between all ranks.
  struct Verdict {
    bool stop = false;        ///< a rank was asked to stop
    bool checkpoint = false;  ///< the time for one has come
  };

  /// Labels of generated samples: those of items drawn from the dataset.
  PhaseRunner::FakeLabels fake_labels() const;
  void start();
  bool go_on_from_checkpoint();
  void start_prefetcher();
  std::vector<int64_t> items_of(int64_t iteration);
  void iterate();
  Verdict agree() const;
  bool finished() const { return state_.images >= 1000 * options_.kimg; }
  bool tick_is_over() const;
  void end_tick();
  void write_snapshot();
  void save_checkpoint();
  io::CheckpointContent checkpoint_content();
  double seconds() const;

  const TrainOptions& options_;
  const io::Dataset& data_;
  const RunDirectory& run_;
  MpiCommunicator& comm_;
  const PreemptionSignals& signals_;

  Draws draws_;
  BatchPlan plan_;
  TrainState state_;
  Statistics statistics_;
  LossConfig losses_;
  EmaConfig ema_;
  PhaseRunner phases_;
  ImageGrid grid_;
  InfiniteSampler sampler_;
  std::optional<io::Prefetcher> prefetcher_;
  std::optional<TickLog> log_;
  std::optional<ProgressBar> progress_;
  std::chrono::steady_clock::time_point start_, last_checkpoint_;
  int64_t non_finite_ = 0;
};

}  // namespace galette
