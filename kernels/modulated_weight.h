// SPDX-License-Identifier: Apache-2.0
// Weights of a linear layer scaled by a style per sample and, if asked, brought back to unit
// variance, in one pass (Karras et al. 2020a, "Analyzing and Improving the Image Quality of
// StyleGAN", eq. 1-3):
//
//   y[n,o,i] = gain w[o,i] s[n,i] d[n,o],   d = (sum over i of (w s)^2 + 1e-8)^(-1/2), or 1
#pragma once

#include <ATen/ATen.h>

namespace galette {

/// weight [O, I], style [N, I], both float32 or both float64 -> [N, O, I] of that type. First and
/// second derivatives exist; asking for the third throws. Keeps its arguments and d for the
/// backward pass. Throws c10::Error on other types, shapes or devices. GALETTE_KERNELS=plain
/// computes it as a composition.
at::Tensor modulated_weight(const at::Tensor& weight, const at::Tensor& style, bool demodulate,
                            double gain = 1);

}  // namespace galette
