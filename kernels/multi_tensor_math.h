// SPDX-License-Identifier: Apache-2.0
// The formulas of the optimiser for one element, shared by the CPU and CUDA bodies.
#pragma once

#include <cstdint>

namespace galette {

struct AdamStep {
  double lr = 0;          ///< Learning rate.
  double beta2 = 0.99;    ///< Decay of the second moment, in [0, 1).
  double eps = 1e-8;      ///< Added to the root of the second moment.
  int64_t step = 1;       ///< The number of this step, counted from 1.
  double grad_scale = 1;  ///< Applied to the gradient before anything else.
};

}  // namespace galette
