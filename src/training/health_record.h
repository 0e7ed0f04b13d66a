// SPDX-License-Identifier: Apache-2.0
// Keeps count of gradients that were not finite: per tick, and of iterations in a row.
#pragma once

#include <cstdint>
#include <string>

#include "training/phases.h"

namespace galette {

class HealthRecord {
 public:
  /// What a phase of an iteration met; warns of the first one in a tick.
  void note(const GradientHealth& health, int64_t iteration);
  void end_iteration(bool is_healthy);
  /// Values of the tick that ends; warns of them.
  int64_t end_tick();
  /// Whether `limit` iterations in a row were bad; never for 0.
  bool is_hopeless(int64_t limit) const { return limit > 0 && streak_ >= limit; }
  /// Whether the last iteration was bad: its state is not worth saving.
  bool is_bad() const { return streak_ > 0; }
  const std::string& first_of_streak() const { return first_of_streak_; }

 private:
  int64_t values_in_tick_ = 0;
  int64_t streak_ = 0;
  std::string first_of_streak_;
};

}  // namespace galette
