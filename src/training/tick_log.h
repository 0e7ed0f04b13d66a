// SPDX-License-Identifier: Apache-2.0
// What a run tells about itself once per tick: the status line, a row of stats.jsonl, an event for
// TensorBoard.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "io/json_lines.h"
#include "parallel/communicator.h"
#include "training/event_log.h"
#include "training/stats.h"
#include "training/train_state.h"

namespace galette {

class TickLog {
 public:
  /// `path`: of stats.jsonl; rows of later ticks than the state's are removed. `seconds`: of work
  /// so far. `total_images`: when the run ends. On all ranks; rank 0 writes.
  TickLog(const std::string& path, const TrainState& state, double seconds, int64_t total_images,
          bool is_root);

  /// Prints the status line of the tick that ends now and collects the statistics.
  /// Collective.
  void end_tick(const TrainState& state, double seconds, Statistics& statistics,
                Communicator& comm);
  /// Appends the row of stats.jsonl and the event, once the tick's files are written; starts the
  /// next tick. `sheet`: of images, if the tick has one.
  void write_row(const Statistics& statistics, double seconds, const std::string& sheet);

 private:
  std::optional<io::JsonLines> rows_;  ///< on rank 0
  std::optional<EventLog> events_;     ///< on rank 0
  int64_t total_images_;
  double tick_start_seconds_;
  int64_t tick_start_images_;
  double maintenance_seconds_ = 0;
  double tick_end_seconds_ = 0;
};

}  // namespace galette
