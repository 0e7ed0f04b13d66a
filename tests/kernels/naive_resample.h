// SPDX-License-Identifier: Apache-2.0
// The definitions of upfirdn2d and conv2d_resample step by step in ATen, to compare with.
#pragma once

#include <array>
#include <cmath>

#include <ATen/ATen.h>

#include "kernels/conv2d_resample.h"

namespace galette::testing {

inline at::Tensor filter_matrix(const at::Tensor& filter) {
  if (!filter.defined()) return at::ones({1, 1}, at::kDouble);
  const at::Tensor f = filter.to(at::kDouble);
  return f.dim() == 1 ? f.outer(f) : f;
}

inline at::Tensor valid_conv2d(const at::Tensor& x, const at::Tensor& kernel, int64_t groups) {
  const std::array<int64_t, 2> ones{1, 1}, zeros{0, 0};
  return at::conv2d(x, kernel, {}, ones, zeros, ones, groups);
}

/// Zero insertion, padding or cropping, valid FIR, decimation.
inline at::Tensor naive_upfirdn2d(const at::Tensor& x, const at::Tensor& filter,
                                  const UpFirDnOptions& o) {
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  at::Tensor u = x.new_zeros({n, c, h * o.up[1], w * o.up[0]});
  u.slice(2, 0, u.size(2), o.up[1]).slice(3, 0, u.size(3), o.up[0]).copy_(x);
  u = at::constant_pad_nd(u, {o.padding[0], o.padding[1], o.padding[2], o.padding[3]});
  at::Tensor f = filter_matrix(filter) * o.gain;
  if (!o.flip_filter) f = f.flip({0, 1});
  const at::Tensor kernel = f.expand({c, 1, f.size(0), f.size(1)}).contiguous();
  const at::Tensor y = valid_conv2d(u, kernel.to(x.scalar_type()), c);
  return y.slice(2, 0, y.size(2), o.down[1]).slice(3, 0, y.size(3), o.down[0]);
}

/// Upsample by FIR, convolve, downsample by FIR.
inline at::Tensor naive_conv2d_resample(const at::Tensor& x, const at::Tensor& weight,
                                        const at::Tensor& filter, const Conv2dResampleOptions& o) {
  const AxisPair size = filter_size(filter);
  Padding2d p = o.padding;
  for (int axis : {0, 1}) {
    const int64_t f = size[axis];
    if (o.up > 1) {
      p[2 * axis] += (f + o.up - 1) / 2;
      p[2 * axis + 1] += static_cast<int64_t>(std::floor((f - o.up) / 2.0));
    }
    if (o.down > 1) {
      p[2 * axis] += static_cast<int64_t>(std::floor((f - o.down + 1) / 2.0));
      p[2 * axis + 1] += static_cast<int64_t>(std::floor((f - o.down) / 2.0));
    }
  }
  const double gain = static_cast<double>(o.up * o.up);
  const at::Tensor t = naive_upfirdn2d(
      x, o.up > 1 ? filter : at::Tensor(),
      {.up = {o.up, o.up}, .padding = p, .flip_filter = o.flip_filter, .gain = gain});
  const at::Tensor kernel = o.flip_weight ? weight : weight.flip({2, 3});
  at::Tensor s = valid_conv2d(t, kernel, o.groups);
  if (o.down == 1) return s;
  return naive_upfirdn2d(s, filter, {.down = {o.down, o.down}, .flip_filter = o.flip_filter});
}

}  // namespace galette::testing
