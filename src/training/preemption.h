// SPDX-License-Identifier: Apache-2.0
// Requests to stop, as schedulers send them: SIGTERM, SIGUSR1, SIGUSR2. The handler only counts;
// the training loop asks, agrees with all ranks on a step, and saves there.
#pragma once

#include <csignal>

namespace galette {

/// Catches the signals while it lives, then gives them back. One may live inside the life of
/// another, which the program makes as soon as it starts: what came by then still counts.
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
  /// How many came. Launchers and schedulers may each send one for the same reason, so signals
  /// within a second of the first one are not counted again.
  int count() const;

 private:
  static constexpr int kSignals[] = {SIGTERM, SIGUSR1, SIGUSR2};
  struct sigaction previous_[3];
};

}  // namespace galette
