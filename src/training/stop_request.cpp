// SPDX-License-Identifier: Apache-2.0
#include "training/stop_request.h"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <fmt/format.h>
#include <unistd.h>

namespace galette {
namespace {

// Above the numbers of signals.
constexpr int kReasonTimeLimit = 1001;
constexpr int kReasonJobEnd = 1002;
constexpr int kReasonStopFile = 1003;

/// Slurm ends a job a little early or late, and tasks need time to exit.
constexpr std::chrono::seconds kJobEndMargin{10};
constexpr std::chrono::seconds kLookEvery{1};

/// The end of the Slurm job that this process belongs to, if it tells.
std::optional<StopRequest::Clock::time_point> slurm_job_end() {
  const char* text = std::getenv("SLURM_JOB_END_TIME");
  if (text == nullptr) return std::nullopt;
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), seconds);
  if (error != std::errc() || *end != '\0' || seconds <= 0) return std::nullopt;
  return StopRequest::Clock::time_point(std::chrono::seconds(seconds));
}

}  // namespace

std::string stop_reason(int reason) {
  switch (reason) {
    case kReasonTimeLimit:
      return "--time-limit";
    case kReasonJobEnd:
      return "the end of the Slurm job";
    case kReasonStopFile:
      return fmt::format("the file {}", kStopFile);
    case SIGTERM:
      return "signal SIGTERM";
    case SIGUSR1:
      return "signal SIGUSR1";
    case SIGUSR2:
      return "signal SIGUSR2";
    default:
      return fmt::format("signal {}", reason);
  }
}

StopRequest::StopRequest(const PreemptionSignals& signals, std::string run_directory,
                         std::optional<double> time_limit, Clock::time_point start,
                         bool watches_clock)
    : signals_(signals),
      stop_file_(std::move(run_directory) + "/" + kStopFile),
      watches_clock_(watches_clock) {
  if (time_limit) {
    deadline_ = start + std::chrono::duration_cast<Clock::duration>(
                            std::chrono::duration<double>(*time_limit));
    deadline_reason_ = kReasonTimeLimit;
  } else if (const auto end = slurm_job_end()) {
    deadline_ = *end - kJobEndMargin;
    deadline_reason_ = kReasonJobEnd;
  }
}

StopVote StopRequest::vote(double needed) {
  if (signals_.requested()) {
    return {signals_.count() > 1 ? StopLevel::in_haste : StopLevel::stop, signals_.signal()};
  }
  if (!watches_clock_) return {};
  const std::chrono::duration<double> work(needed);
  if (deadline_ && Clock::now() + work >= *deadline_) return {StopLevel::stop, deadline_reason_};
  if (stop_file_exists()) return {StopLevel::stop, kReasonStopFile};
  return {};
}

bool StopRequest::stop_file_exists() {
  const auto now = std::chrono::steady_clock::now();
  if (stop_file_seen_ || now < next_look_) return stop_file_seen_;
  next_look_ = now + kLookEvery;
  stop_file_seen_ = ::access(stop_file_.c_str(), F_OK) == 0;
  return stop_file_seen_;
}

}  // namespace galette
