// SPDX-License-Identifier: Apache-2.0
// A convolution joined with up- or downsampling of images [N, C, H, W], differentiable to any
// order: upsample by FIR, convolve, downsample by FIR, in the order of least work. Source: Karras
// et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", appendix B.
#pragma once

#include <ATen/ATen.h>

#include "kernels/upfirdn2d.h"

namespace galette {

struct Conv2dResampleOptions {
  int64_t up = 1;
  int64_t down = 1;
  Padding2d padding{0, 0, 0, 0};  ///< With respect to the upsampled image; k / 2 keeps the size.
  int64_t groups = 1;
  bool flip_weight = true;   ///< true: correlation, as at::conv2d; false: true convolution.
  bool flip_filter = false;  ///< As in upfirdn2d.
};

/// x: [N, C, H, W]; weight: [O, C / groups, kh, kw] of x's type; filter: as in upfirdn2d, used with
/// gain up^2 when up > 1 and with gain 1 when down > 1. Returns [N, O, Hout, Wout]; with padding
/// k / 2 of an odd k, Hout = H up / down. Throws c10::Error on wrong ranks, channel counts or
/// factors.
at::Tensor conv2d_resample(const at::Tensor& x, const at::Tensor& weight,
                           const at::Tensor& filter = {},
                           const Conv2dResampleOptions& options = {});

}  // namespace galette
