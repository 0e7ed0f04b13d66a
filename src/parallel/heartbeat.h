// SPDX-License-Identifier: Apache-2.0
// What this rank is doing: its main thread says so when it enters and leaves a section or a call of
// a library, and the watchdog's thread looks. The main thread only counts its steps; the thread
// that looks has the time to ask the clock. A section costs some tens of nanoseconds, a call a few:
// the shortest sums over the ranks of a host take half a microsecond.
#pragma once

#include <atomic>
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
    int64_t steps = 0;      ///< entered and left; a rank that hangs stays behind
    int64_t iteration = 0;  ///< of training
    double seconds = 0;     ///< since report() first found this number of steps
    double limit = 0;       ///< seconds that the section may take; 0: as usual, negative: any
    std::string place;      ///< sections, outermost first, and the call: "Gmain, all-reduce"
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
  /// `name` must live as long as the program.
  void enter_call(const char* name) {
    if (!is_main_thread()) return;
    call_.store(name, std::memory_order_relaxed);
    step();
  }
  void leave_call() { enter_call(nullptr); }
  /// To be asked for often: a rank stands still from the first report on that shows it so.
  Report report();

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
  bool is_main_thread() const { return std::this_thread::get_id() == owner_; }
  /// Only the main thread writes the count.
  void step() {
    steps_.store(steps_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  mutable std::mutex mutex_;
  const std::thread::id owner_ = std::this_thread::get_id();
  std::vector<Section> sections_;
  std::atomic<const char*> call_ = nullptr;
  std::atomic<int64_t> steps_ = 0;
  int64_t iteration_ = 0;
  int64_t seen_steps_ = -1;  ///< by report(), and when it first saw them
  Clock::time_point seen_since_;
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

/// Marks a call of a library inside the section where it is made, with that section's limit. While
/// it lives, no section and no other call is entered.
class WatchedCall {
 public:
  explicit WatchedCall(const char* name) { Heartbeat::instance().enter_call(name); }
  WatchedCall(const WatchedCall&) = delete;
  WatchedCall& operator=(const WatchedCall&) = delete;
  ~WatchedCall() { Heartbeat::instance().leave_call(); }
};

}  // namespace galette
