// SPDX-License-Identifier: Apache-2.0
// Weights scaled by a style per sample and demodulated (Karras et al. 2020a, eq. 1-3). Weights are
// [O, I] or [O, I, k, k], styles [N, I]; both stay in the type of the parameters.
#pragma once

#include <ATen/ATen.h>

namespace galette {

struct Modulation {
  at::Tensor weight, style;

  /// Scaled so that products in a 16-bit type do not overflow: the largest style of a sample is 1,
  /// the largest weight of an output 1/sqrt(fan-in). Only for demodulated layers, where both
  /// factors cancel; gradients count them as constants for the same reason.
  Modulation for_16_bits() const;
};

}  // namespace galette
