// SPDX-License-Identifier: Apache-2.0
#include "training/status_line.h"

#include <fmt/format.h>

#include "base/time_text.h"

namespace galette {

std::string format_status_line(const TickStatus& s) {
  return fmt::format(
      "tick {:<5d} kimg {:<8.1f} time {:<12s} sec/tick {:<7.1f} sec/kimg {:<7.2f} "
      "maintenance {:<6.1f} cpumem {:<6.2f} gpumem {:<6.2f} reserved {:<6.2f} augment {:.3f} eta "
      "{}",
      s.tick, s.kimg, format_duration(s.total_seconds), s.seconds_per_tick, s.seconds_per_kimg,
      s.maintenance_seconds, s.cpu_memory, s.gpu_memory, s.gpu_reserved, s.augment,
      format_duration(s.remaining_seconds));
}

}  // namespace galette
