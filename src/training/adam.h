// SPDX-License-Identifier: Apache-2.0
// Adam on an arena (Kingma and Ba 2015) with beta1 = 0, as GAN training uses it: the first moment
// is the gradient itself and is not stored. A parameter that no loss reached in a phase keeps its
// value, moment and step count.
#pragma once

#include <ATen/ATen.h>

#include "base/parameter_arena.h"

namespace galette {

/// Learning rate and decay as set by the user, for a loss whose regulariser runs every `interval`
/// iterations (1: none): both are corrected for the extra steps (Karras et al. 2020a, appendix B).
struct AdamConfig {
  double lr = 0.002;
  double beta2 = 0.99;
  double eps = 1e-8;

  static AdamConfig lazy(double lr, int64_t interval);
};

class Adam {
 public:
  Adam(ParameterArena& arena, const AdamConfig& config);

  /// One step with `grad_scale` times the accumulated gradients on every parameter that was
  /// reached. Values that are not finite are replaced (NaN by 0, infinity by 1e5); returns how
  /// many.
  int64_t step(double grad_scale);

  /// Second moments, laid out like the parameters.
  at::Tensor second_moment() const { return second_moment_; }
  /// Steps taken by each parameter, int64 [parameters] on the CPU.
  at::Tensor step_counts() const { return step_counts_; }

 private:
  ParameterArena& arena_;
  AdamConfig config_;
  at::Tensor second_moment_, step_counts_;
};

}  // namespace galette
