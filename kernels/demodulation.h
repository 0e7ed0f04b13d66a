// SPDX-License-Identifier: Apache-2.0
// The factors that bring the results of a modulated layer back to unit variance (Karras et al.
// 2020a, "Analyzing and Improving the Image Quality of StyleGAN", eq. 3), without weights per
// sample:
//
//   d[n,o] = (sum over i of s[n,i]^2 times the sum of squares of w[o,i] + epsilon)^(-1/2)
#pragma once

#include <ATen/ATen.h>

namespace galette {

enum class DemodulationEpsilon {
  absolute,  ///< 1e-8
  /// 1e-8 of the mean square of an output's weights times that of a sample's styles: d is then what
  /// it would be if both were brought to unit power first (Karras et al. 2021, appendix).
  relative
};

/// weight [O, I] or [O, I, kh, kw], style [N, I], both float32 or both float64 -> [N, O] of that
/// type. First and second derivatives exist; asking for the third throws. Throws c10::Error on
/// other types, shapes or devices. GALETTE_KERNELS=plain computes it as a composition.
at::Tensor demodulation(const at::Tensor& weight, const at::Tensor& style,
                        DemodulationEpsilon epsilon = DemodulationEpsilon::absolute);

}  // namespace galette
