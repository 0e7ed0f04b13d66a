// SPDX-License-Identifier: Apache-2.0
#include "training/preemption.h"

#include <atomic>
#include <cerrno>
#include <ctime>
#include <system_error>

namespace galette {
namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

int lives = 0;
std::atomic<int> first_signal{0};
std::atomic<int> signals{0};
std::atomic<int64_t> first_time{0};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free,
              "a signal handler may not take a lock");

/// clock_gettime may be called in a signal handler.
int64_t nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * kNanosecondsPerSecond + now.tv_nsec;
}

extern "C" void remember_signal(int number) {
  const int64_t now = nanoseconds();
  int none = 0;
  if (first_signal.compare_exchange_strong(none, number)) {
    first_time = now;
    signals = 1;
  } else if (now - first_time > kNanosecondsPerSecond) {
    ++signals;
  }
}

}  // namespace

PreemptionSignals::PreemptionSignals() {
  if (lives++ == 0) {
    first_signal = 0;
    signals = 0;
  }
  struct sigaction action {};
  action.sa_handler = remember_signal;
  action.sa_flags = SA_RESTART;  // reads and writes in progress must not fail because of it
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < 3; ++i) {
    if (sigaction(kSignals[i], &action, &previous_[i]) != 0) {
      throw std::system_error(errno, std::generic_category(), "sigaction");
    }
  }
}

PreemptionSignals::~PreemptionSignals() {
  --lives;
  for (int i = 0; i < 3; ++i) sigaction(kSignals[i], &previous_[i], nullptr);
}

int PreemptionSignals::signal() const {
  return first_signal;
}

int PreemptionSignals::count() const {
  return signals;
}

}  // namespace galette
