// SPDX-License-Identifier: Apache-2.0
// What the losses of a run are made of, and when they run.
#pragma once

#include <string>

#include "base/sample_rng.h"
#include "training/train_state.h"

namespace galette {

struct LossConfig {
  double gamma = 0;  ///< weight of R1
  double path_length_weight = 2;
  double style_mixing = 0;  ///< probability
  double blur_start = 0;    ///< width at the start of training, see blur.h
  double blur_fade_kimg = 0;
  double magnitude_beta = 1;  ///< weight of the past in StyleGAN3's magnitude averages
  LazyIntervals intervals;

  int64_t interval(Phase phase) const;
  /// Whether a phase runs in iteration t: all that have a loss do at t = 0.
  bool due(Phase phase, int64_t iteration) const;
};

/// "Gmain", "Greg", "Dmain", "Dreg".
std::string phase_name(Phase phase);

}  // namespace galette
