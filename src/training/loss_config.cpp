// SPDX-License-Identifier: Apache-2.0
#include "training/loss_config.h"

namespace galette {

int64_t LossConfig::interval(Phase phase) const {
  if (phase == Phase::g_reg) return intervals.g;
  if (phase == Phase::d_reg) return intervals.d;
  return 1;
}

bool LossConfig::due(Phase phase, int64_t iteration) const {
  if (phase == Phase::g_reg && path_length_weight == 0) return false;
  if (phase == Phase::d_reg && gamma == 0) return false;
  return iteration % interval(phase) == 0;
}

std::string phase_name(Phase phase) {
  switch (phase) {
    case Phase::g_main:
      return "Gmain";
    case Phase::g_reg:
      return "Greg";
    case Phase::d_main:
      return "Dmain";
    case Phase::d_reg:
      return "Dreg";
    case Phase::none:
      break;
  }
  return "none";
}

}  // namespace galette
