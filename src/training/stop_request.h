// SPDX-License-Identifier: Apache-2.0
// Why a run should stop before its end: a signal, a time limit, the end of the Slurm job, or a file
// named STOP in the run directory. Each rank sees for itself; the ranks agree on what to do.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "training/preemption.h"

namespace galette {

/// The file whose presence in the run directory asks a run to stop.
inline constexpr const char* kStopFile = "STOP";

/// Higher is more urgent; `in_haste`: skip everything but the save.
enum class StopLevel : int { none = 0, stop = 1, in_haste = 2 };

/// What one rank sees, in numbers that can be reduced by their maximum.
struct StopVote {
  StopLevel level = StopLevel::none;
  int reason = 0;  ///< a signal's number or one of the codes behind stop_reason()
};

/// For the log: "signal SIGUSR1", "the file STOP", ...
std::string stop_reason(int reason);

class StopRequest {
 public:
  using Clock = std::chrono::system_clock;

  /// `time_limit`: seconds from `start` on, when given; else the Slurm job's end
  /// (SLURM_JOB_END_TIME) counts, where that is known. `watches_clock`: only one rank should, since
  /// clocks differ; it also looks for the file, at most once a second. `signals` must outlive this.
  StopRequest(const PreemptionSignals& signals, std::string run_directory,
              std::optional<double> time_limit, Clock::time_point start, bool watches_clock);

  /// `needed`: seconds that finishing may take from now on, an iteration and a save.
  StopVote vote(double needed);

 private:
  bool stop_file_exists();

  const PreemptionSignals& signals_;
  std::string stop_file_;
  bool watches_clock_;
  std::optional<Clock::time_point> deadline_;
  int deadline_reason_ = 0;
  bool stop_file_seen_ = false;
  std::chrono::steady_clock::time_point next_look_{};
};

}  // namespace galette
