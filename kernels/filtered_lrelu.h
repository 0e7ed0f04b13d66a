// SPDX-License-Identifier: Apache-2.0
// A leaky ReLU at a higher sampling rate, so that it makes no aliases, differentiable to any order:
//
//   z = x + bias                                             (zeros around z carry no bias)
//   v = gain up^2 upfirdn2d(z; up_filter, up, padding)
//   v = v or slope v where v < 0, then clamped to [-clamp, clamp]
//   y = upfirdn2d(v; down_filter, down)
//
// v is never in memory as a whole. Source: Karras et al. 2021, "Alias-Free Generative Adversarial
// Networks", section 3.2.
#pragma once

#include <optional>

#include <ATen/ATen.h>

#include "kernels/upfirdn2d.h"

namespace galette {

struct FilteredLreluOptions {
  int64_t up = 1;
  int64_t down = 1;
  Padding2d padding{0, 0, 0, 0};     ///< of the upsampled image; negative crops
  double gain = 1.4142135623730951;  ///< before the slope; positive
  double slope = 0.2;                ///< below zero, not negative
  std::optional<double> clamp{};     ///< largest magnitude of v (>= 0)
  bool flip_filter = false;          ///< false: true convolution; true: correlation
};

/// x: [N, C, H, W], float32, float64, float16 or bfloat16 (16-bit types compute in float32 and
/// round once); bias: absent or [C] of the same type and device; filters: undefined (identity),
/// 1-D [F] (applied along x and along y) or 2-D [Fh, Fw], float32 or float64, without gradient.
/// Returns [N, C, Hout, Wout] with Wout = floor((W up + p0 + p1 - Fup + 1 - Fdown) / down) + 1.
///
/// For the backward pass it keeps two bits per value of v: where v < 0 the gradient is scaled by
/// the slope, where |v| > clamp it is zero. The gradient is linear in dy, and derivatives of any
/// order exist. Throws c10::Error on a wrong type, device, rank, bias length, factor, gain, slope
/// or clamp, and on images that are smaller than the filters after padding.
at::Tensor filtered_lrelu(const at::Tensor& x, const std::optional<at::Tensor>& bias,
                          const at::Tensor& up_filter, const at::Tensor& down_filter,
                          const FilteredLreluOptions& options = {});

}  // namespace galette
