// SPDX-License-Identifier: Apache-2.0
// The moving average of the generator that pictures and snapshots are made of.
#pragma once

#include <optional>

#include "models/network.h"

namespace galette {

struct EmaConfig {
  double half_life_kimg = 10;            ///< kimg after which an old value has half its weight
  std::optional<double> ramp_up = 0.05;  ///< half-life at most this share of the images so far
};

/// The weight of the old average for a batch of `batch` images after `images` ones.
double ema_beta(const EmaConfig& config, double images, double batch);

/// Parameters: average = value + beta (average - value); buffers are copied.
void update_ema(Network& average, const Network& value, double beta);

}  // namespace galette
