// SPDX-License-Identifier: Apache-2.0
// What makes a run safe to kill, at the borders between its iterations: whether to stop, when and
// how to save, and whether a new start makes sense. All ranks decide the same.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "parallel/mpi_communicator.h"
#include "parallel/watchdog.h"
#include "training/best_checkpoint.h"
#include "training/checkpoint_saver.h"
#include "training/restart_record.h"
#include "training/run_directory.h"
#include "training/run_log.h"
#include "training/stop_request.h"
#include "training/train_options.h"

namespace galette {

/// What stays the same for all starts of one process; all must outlive the keeper.
struct RunSurroundings {
  const TrainOptions& options;
  const RunDirectory& run;
  MpiCommunicator& comm;
  Communicator& tensors;  ///< for those on the device of the run; also serves the host's
  const PreemptionSignals& signals;
  Watchdog& watchdog;
  RunLog& log;
  std::chrono::system_clock::time_point start;  ///< of the process
};

io::CheckpointWriter checkpoint_writer(const TrainOptions& options);

class RunKeeper {
 public:
  /// What a border leads to.
  struct Verdict {
    StopLevel stop = StopLevel::none;
    int reason = 0;           ///< see stop_reason()
    bool checkpoint = false;  ///< the time for one has come, and none is in flight
  };

  /// Collective, as all that follows but what says otherwise.
  explicit RunKeeper(const RunSurroundings& surroundings);

  /// Fills `content` from the checkpoint that --restart asks for and returns its path, empty when
  /// there is none. log.txt goes back to the time of it.
  std::string load(io::CheckpointContent& content);
  /// Notes the start. False when the run must not be started: the reason is logged, and the exit
  /// code is kExitDoNotRestart.
  bool may_start(int64_t iteration);
  /// Adds to a state what load() needs. Not collective.
  void complete_state(nlohmann::json& state) const;

  /// Reports the save that ended, and agrees with the other ranks.
  Verdict agree();
  /// Before an iteration, which the watchdog tells in its messages. Not collective.
  void begin_iteration(int64_t iteration);
  /// Whether this rank sees a reason to stop at the next border. Not collective.
  bool is_asked_to_stop();
  /// The value of --keep-best's metric for the state as it is; the same on all ranks. A save before
  /// the next iteration makes it the best checkpoint if none was better. Not collective.
  void offer_best(double value) { best_.offer(value); }
  /// In the background unless --checkpoint-sync; after a verdict that says so.
  void save(int64_t iteration, const io::CheckpointContent& content);
  /// Saves before the process ends: returns when the checkpoint is on the storage, throws
  /// std::runtime_error when it cannot be written.
  void save_and_wait(int64_t iteration, const io::CheckpointContent& content);
  /// Waits until no thread uses HDF5. Not collective.
  void finish_save();
  /// Whether the last save that ended succeeded.
  bool is_saved() const { return last_error_.empty(); }

 private:
  void report_save();
  void report_best(const SaveReport& report);
  /// Reasons to stop, some of which know how long an iteration and a save take.
  StopVote vote();

  RunSurroundings s_;
  StopRequest stop_request_;
  CheckpointSaver saver_;
  BestCheckpoint best_;
  std::optional<RestartRecord> record_;  ///< on rank 0
  int64_t generation_ = 0;
  std::string last_error_;
  std::chrono::steady_clock::time_point last_checkpoint_;
  std::optional<std::chrono::steady_clock::time_point> iteration_begin_;
  double longest_iteration_ = 0, longest_save_ = 0;  ///< seconds
};

}  // namespace galette
