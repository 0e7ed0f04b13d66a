// SPDX-License-Identifier: Apache-2.0
// A linear layer with run-time scales (Karras et al. 2018, section 4.1: equalised learning rates),
// which are the factors that a matrix product takes anyway: nothing of the weight's size is scaled.
#pragma once

#include <ATen/ATen.h>

namespace galette {

/// alpha x weight^T + beta bias: x [N, I], weight [O, I], bias [O] or undefined -> [N, O].
/// Derivatives of any order exist. Throws c10::Error on shapes or types that do not fit.
at::Tensor scaled_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         double alpha, double beta = 1);

}  // namespace galette
