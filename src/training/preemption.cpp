// SPDX-License-Identifier: Apache-2.0
#include "training/preemption.h"

#include <atomic>
#include <cerrno>
#include <system_error>

namespace galette {
namespace {

std::atomic<int> received{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may not take a lock");

extern "C" void remember_signal(int number) {
  int none = 0;
  received.compare_exchange_strong(none, number);
}

}  // namespace

PreemptionSignals::PreemptionSignals() {
  received = 0;
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
  for (int i = 0; i < 3; ++i) sigaction(kSignals[i], &previous_[i], nullptr);
}

int PreemptionSignals::signal() const {
  return received;
}

}  // namespace galette
