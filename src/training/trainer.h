// SPDX-License-Identifier: Apache-2.0
// The training loop: iterations, ticks, snapshots, checkpoints, and stopping when asked to.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "io/dataset_file.h"
#include "parallel/mpi_communicator.h"
#include "training/ema.h"
#include "training/health_record.h"
#include "training/image_grid.h"
#include "training/infinite_sampler.h"
#include "training/phases.h"
#include "training/real_batches.h"
#include "training/run_keeper.h"
#include "training/snapshot_metrics.h"
#include "training/tick_log.h"
#include "training/train_networks.h"
#include "training/train_options.h"

namespace galette {

class Trainer {
 public:
  /// Resolved options; everything given must outlive the trainer. Collective, as all of it.
  Trainer(const RunSurroundings& surroundings, const io::Dataset& data,
          const TrainDetectors& detectors);

  /// Trains until the end or until asked to stop; returns the exit code.
  int run();

 private:
  /// Labels of generated samples: those of items drawn from the dataset.
  PhaseInputs::FakeLabels fake_labels() const;
  /// False when the run must not be started.
  bool start();
  void start_output(bool continued);
  int stop(int reason);
  /// Ends a run whose gradients stay broken, without saving what they led to.
  int give_up();
  bool go_on_from_checkpoint();
  void load_statistics(const nlohmann::json& state);
  void start_reading();
  std::vector<int64_t> items_of(int64_t iteration);
  void iterate();
  /// Takes note of what came out of iterations, up to the last `left` ones.
  void finish_iterations(size_t left);
  bool finished() const { return state_.images >= 1000 * options_.kimg; }
  bool tick_is_over() const;
  /// Whether the tick ended with a snapshot.
  bool end_tick();
  void write_snapshot();
  std::string fakes_file() const;
  void compute_metrics();
  void start_progress();
  void check_consistency();
  void save_checkpoint();
  void save_last_checkpoint();
  io::CheckpointContent checkpoint_content();
  double seconds() const;

  /// An iteration whose results have not been looked at.
  struct QueuedIteration {
    int64_t number;
    std::vector<QueuedPhase> phases;
  };

  const TrainOptions& options_;
  const io::Dataset& data_;
  const RunDirectory& run_;
  MpiCommunicator& comm_;
  Communicator& tensors_;

  Draws draws_;
  BatchPlan plan_;
  TrainState state_;
  Statistics statistics_;
  LossConfig losses_;
  EmaConfig ema_;
  std::optional<AugmentPipe> pipe_;
  PhaseRunner phases_;
  ImageGrid grid_;
  InfiniteSampler sampler_;
  std::optional<RealBatches> reals_;
  std::optional<TickLog> log_;
  std::optional<ProgressBar> progress_;
  std::chrono::steady_clock::time_point start_;
  RunKeeper keeper_;
  SnapshotMetrics metrics_;
  std::pair<int64_t, int64_t> saved_{-1, -1};  ///< iteration and tick of the last checkpoint
  HealthRecord health_;
  std::deque<QueuedIteration> queued_;
};

}  // namespace galette
