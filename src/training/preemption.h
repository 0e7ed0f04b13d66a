// SPDX-License-Identifier: Apache-2.0
// Requests to stop, as schedulers send them: SIGTERM, SIGUSR1, SIGUSR2. The handler only sets a
// flag; the training loop asks for it, agrees with all ranks on a step, and saves there.
#pragma once

#include <csignal>

namespace galette {

/// Catches the signals while it lives, then gives them back. At most one at a time.
class PreemptionSignals {
 public:
  PreemptionSignals();
  PreemptionSignals(const PreemptionSignals&) = delete;
  PreemptionSignals& operator=(const PreemptionSignals&) = delete;
  ~PreemptionSignals();

  /// Whether this process got one of the signals. Any rank may be the only one that did.
  bool requested() const { return signal() != 0; }
  /// The first one that came, or 0.
  int signal() const;

 private:
  static constexpr int kSignals[] = {SIGTERM, SIGUSR1, SIGUSR2};
  struct sigaction previous_[3];
};

}  // namespace galette
