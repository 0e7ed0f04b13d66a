// SPDX-License-Identifier: Apache-2.0
// A convolution with 3x3 filters, stride 1. Where it pays, CPUs compute it by Winograd's minimal
// filtering, which takes a quarter of the products.
#pragma once

#include <cstdint>

#include <ATen/ATen.h>

#include "kernels/element_type.h"

namespace galette {

/// What at::conv2d(x, weight, {}, 1, {pad_y, pad_x}) gives, and derivatives of any order.
/// x [N, I, H, W], weight [O, I, 3, 3] -> [N, O, H + 2 pad_y - 2, W + 2 pad_x - 2].
at::Tensor conv2d_3x3(const at::Tensor& x, const at::Tensor& weight, int64_t pad_y, int64_t pad_x);

// --- The bodies: float32, contiguous ---

struct Conv3x3Call {
  int64_t samples, in, out;  ///< batch, channels
  int64_t height, width;     ///< of the input
  int64_t pad_y, pad_x;
  bool is_turned = false;  ///< filters [in, out, 3, 3] of the way back, which are to be mirrored
  int64_t out_height() const { return height + 2 * pad_y - 2; }
  int64_t out_width() const { return width + 2 * pad_x - 2; }
};

void conv3x3_cpu(const Conv3x3Call& call, const float* x, const float* weight, float* y);
/// dweight = the sum over samples and pixels of dy times x.
void conv3x3_weight_gradient_cpu(const Conv3x3Call& call, const float* x, const float* dy,
                                 float* dweight);

}  // namespace galette
