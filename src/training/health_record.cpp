// SPDX-License-Identifier: Apache-2.0
#include "training/health_record.h"

#include <fmt/format.h>

#include "base/log.h"

namespace galette {

void HealthRecord::note(const GradientHealth& health, int64_t iteration) {
  if (health.non_finite == 0) return;
  const std::string where = fmt::format("iteration {}, {}", iteration, health.where);
  if (values_in_tick_ == 0) {
    log::warning("{}: {} gradient values are not finite and are replaced", where,
                 health.non_finite);
  }
  if (streak_ == 0 && first_of_streak_.empty()) first_of_streak_ = where;
  values_in_tick_ += health.non_finite;
}

void HealthRecord::end_iteration(bool is_healthy) {
  streak_ = is_healthy ? 0 : streak_ + 1;
  if (is_healthy) first_of_streak_.clear();
}

int64_t HealthRecord::end_tick() {
  const int64_t values = values_in_tick_;
  if (values > 0) {
    log::warning("{} gradient values were not finite in this tick and were replaced", values);
  }
  values_in_tick_ = 0;
  return values;
}

}  // namespace galette
