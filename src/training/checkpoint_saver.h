// SPDX-License-Identifier: Apache-2.0
// Saves checkpoints while training goes on: the part of the state that this rank writes is copied
// to memory of its own, and another thread writes it, on a communicator of its own. At most one
// save is in flight. Where a write fails, the older checkpoints stay and the failure is reported.
//
// HDF5 is not thread-safe: wait() before any other use of it.
#pragma once

#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "io/checkpoint.h"
#include "io/checkpoint_form.h"

namespace galette {

struct SaverOptions {
  std::string folder;
  size_t keep = 2;  ///< newest checkpoints that stay
  io::CheckpointWriter writer = io::CheckpointWriter::collective;
  double deadline = 600;  ///< seconds of a write after which the watchdog ends the run
  std::string spared;     ///< a checkpoint that is never removed: the one just loaded
  std::function<void()> on_saved = [] {};  ///< called by the thread that wrote, on all ranks
};

/// Whether training goes on while a checkpoint is written, or waits, without a copy.
enum class SaveMode { in_background, synchronous };

struct SaveReport {
  std::string path;
  double stall = 0;        ///< seconds that training waited
  double seconds = 0;      ///< that writing took
  std::string error;       ///< empty when the checkpoint is complete
  std::string name_error;  ///< empty when it also has the further name that it was to have
};

class CheckpointSaver {
 public:
  /// Collective.
  CheckpointSaver(SaverOptions options, MPI_Comm comm);
  CheckpointSaver(const CheckpointSaver&) = delete;
  CheckpointSaver& operator=(const CheckpointSaver&) = delete;
  /// Waits for the save in flight.
  ~CheckpointSaver();

  /// Whether this rank's part of a save is still in flight.
  bool busy() const;
  /// Begins to save `content` as the checkpoint of an iteration. The last save must have ended and
  /// its report be taken. The arrays may change as soon as this returns. The checkpoint also gets
  /// the file name `further_name`, unless empty, under which it is never removed. Collective.
  void save(int64_t iteration, const io::CheckpointContent& content, SaveMode mode,
            const std::string& further_name = "");
  /// Waits for the save in flight, if any.
  void wait() const;
  /// Of the save that ended since the last call, if one did.
  std::optional<SaveReport> take_report();
  /// Marks a checkpoint as one that pruning must not remove.
  void spare(const std::string& path) { options_.spared = path; }

 private:
  io::CheckpointContent copy_of(const io::CheckpointContent& content);
  SaveReport write(const std::string& path, const io::CheckpointContent& content,
                   const std::string& further_name);

  SaverOptions options_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  std::vector<at::Tensor> copies_;  ///< one per array; only the share of this rank is ever filled
  io::CheckpointForm form_;         ///< used by the thread that writes
  double stall_ = 0;
  std::future<SaveReport> report_;
};

}  // namespace galette
