// SPDX-License-Identifier: Apache-2.0
#include "training/ema.h"

#include <algorithm>
#include <cmath>

#include "kernels/multi_tensor.h"

namespace galette {

double ema_beta(const EmaConfig& config, double images, double batch) {
  double half_life = 1000 * config.half_life_kimg;
  if (config.ramp_up) half_life = std::min(half_life, *config.ramp_up * images);
  return std::pow(0.5, batch / std::max(half_life, 1e-8));
}

void update_ema(Network& average, const Network& value, double beta) {
  ema_update(average.arena().flat_parameters(), value.arena().flat_parameters(), beta);
  average.arena().flat_buffers().copy_(value.arena().flat_buffers());
}

}  // namespace galette
