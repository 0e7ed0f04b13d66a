// SPDX-License-Identifier: Apache-2.0
// The line that a run prints once per tick.
#pragma once

#include <cstdint>
#include <string>

namespace galette {

/// Memory in GiB: resident set of rank 0, peak that was allocated on its device in this tick, and
/// reserved there.
struct TickStatus {
  int64_t tick = 0;
  double kimg = 0;
  double total_seconds = 0;
  double seconds_per_tick = 0;
  double seconds_per_kimg = 0;
  double maintenance_seconds = 0;
  double cpu_memory = 0;
  double gpu_memory = 0;
  double gpu_reserved = 0;
  double augment = 0;
  double remaining_seconds = -1;  ///< negative: not known yet
};

/// `tick 3     kimg 12.0     time 1h 02m 03s   sec/tick …  augment 0.000 eta 2h 03m 04s`
std::string format_status_line(const TickStatus& status);

}  // namespace galette
