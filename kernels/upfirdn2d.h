// SPDX-License-Identifier: Apache-2.0
// Pad, upsample, FIR filter, downsample images [N, C, H, W] in one pass, differentiable to any
// order. Along each axis, with up-factor U, down-factor D, padding p0 and p1, taps f of length F:
//
//   u[m] = x[m / U] if U divides m and 0 <= m < W U, else 0
//   h[k] = f[F-1-k] (convolution), or f[k] if flip_filter (correlation)
//   y[q] = gain * sum_k h[k] u[q D + k - p0],   q = 0 .. floor((W U + p0 + p1 - F) / D)
//
// Negative padding crops the zero-inserted signal. Source: Karras et al. 2020, "Analyzing and
// Improving the Image Quality of StyleGAN", appendix B; the notation is that of MATLAB's upfirdn.
#pragma once

#include <array>

#include <ATen/ATen.h>

namespace galette {

using AxisPair = std::array<int64_t, 2>;   ///< One number per axis: x (columns), y (rows).
using Padding2d = std::array<int64_t, 4>;  ///< Before and after: x0, x1, y0, y1; negative crops.

struct UpFirDnOptions {
  AxisPair up{1, 1};
  AxisPair down{1, 1};
  Padding2d padding{0, 0, 0, 0};
  bool flip_filter = false;  ///< false: true convolution; true: correlation.
  double gain = 1;           ///< Total gain of both axes.
};

/// x: [N, C, H, W], float32, float64, float16 or bfloat16 (16-bit types compute in float32 and
/// round once). filter: undefined (identity), 1-D [F] (applied along x and along y) or 2-D [Fh,
/// Fw], float32 or float64, without gradient. Returns [N, C, Hout, Wout] with the sizes above;
/// channels last, as gradients then are, where x is (see kept_format()).
/// Throws c10::Error on other ranks or types, factors below 1, and images that are smaller than the
/// filter after padding.
at::Tensor upfirdn2d(const at::Tensor& x, const at::Tensor& filter,
                     const UpFirDnOptions& options = {});

/// The same image size, filtered: [N, C, H, W]. `padding` is added to what keeps the size.
at::Tensor filter2d(const at::Tensor& x, const at::Tensor& filter,
                    const Padding2d& padding = {0, 0, 0, 0}, bool flip_filter = false,
                    double gain = 1);

/// The image enlarged by `up`: [N, C, H up_y, W up_x]. Keeps the mean: the filter's gain is scaled
/// by up_x up_y. `padding` is added to what gives that size.
at::Tensor upsample2d(const at::Tensor& x, const at::Tensor& filter, const AxisPair& up = {2, 2},
                      const Padding2d& padding = {0, 0, 0, 0}, bool flip_filter = false,
                      double gain = 1);

/// The image reduced by `down`: [N, C, H / down_y, W / down_x]. `padding` is added to what gives
/// that size.
at::Tensor downsample2d(const at::Tensor& x, const at::Tensor& filter,
                        const AxisPair& down = {2, 2}, const Padding2d& padding = {0, 0, 0, 0},
                        bool flip_filter = false, double gain = 1);

/// Width and height of a filter (1 for an undefined one).
AxisPair filter_size(const at::Tensor& filter);

}  // namespace galette
