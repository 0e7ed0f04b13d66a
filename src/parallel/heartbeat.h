// SPDX-License-Identifier: Apache-2.0
// What this rank is doing: its main thread says so when it enters and leaves a section, and the
// watchdog's thread looks. Entering costs well below a microsecond.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace galette {

class Heartbeat {
 public:
  using Clock = std::chrono::steady_clock;

  /// What the main thread was doing at one moment.
  struct Report {
    int64_t steps = 0;      ///< sections entered and left; a rank that hangs stays behind
    int64_t iteration = 0;  ///< of training
    double seconds = 0;     ///< since the last step
    double limit = 0;       ///< seconds that the section may take; 0: as usual, negative: any
    std::string place;      ///< sections, outermost first: "Gmain, all-reduce"
  };
  /// A file that another thread is writing.
  struct Job {
    std::string name;
    double seconds = 0;
    double limit = 0;
  };

  /// That of this process. Sections of other threads than the first that asked are not recorded.
  static Heartbeat& instance();

  void set_iteration(int64_t iteration);
  void enter(std::string_view section, double limit);
  void leave();
  Report report() const;

  void begin_job(std::string name, double limit);
  void end_job();
  std::optional<Job> job() const;

 private:
  struct Section {
    std::string name;
    double limit;
  };
  struct RunningJob {
    std::string name;
    Clock::time_point begin;
    double limit;
  };
  Heartbeat() = default;
  void step();

  mutable std::mutex mutex_;
  const std::thread::id owner_ = std::this_thread::get_id();
  std::vector<Section> sections_;
  int64_t steps_ = 0;
  int64_t iteration_ = 0;
  Clock::time_point last_step_ = Clock::now();
  std::optional<RunningJob> job_;
};

/// Marks a section while it lives. `limit`: seconds that it may take without entering another one;
/// 0: as the section around it, or as --watchdog says.
class WatchedSection {
 public:
  explicit WatchedSection(std::string_view name, double limit = 0) {
    Heartbeat::instance().enter(name, limit);
  }
  WatchedSection(const WatchedSection&) = delete;
  WatchedSection& operator=(const WatchedSection&) = delete;
  ~WatchedSection() { Heartbeat::instance().leave(); }
};

}  // namespace galette
