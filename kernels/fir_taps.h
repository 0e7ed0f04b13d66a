// SPDX-License-Identifier: Apache-2.0
// Filter buffers as the CPU bodies want them: oriented taps in float64 on the host, split into one
// vector per axis whenever the filter is a product of two.
#pragma once

#include <vector>

#include <ATen/ATen.h>

namespace galette {

/// h of y[q] = sum over k of h[k] u[q D + k - p]: one vector per axis when it is separable, else a
/// row-major matrix.
struct HostTaps {
  std::vector<double> x, y, full;
  bool separable = false;
};

/// The taps of a filter (undefined, 1-D or 2-D), reversed unless flip_filter, times gain.
HostTaps host_taps(const at::Tensor& filter, bool flip_filter, double gain);

}  // namespace galette
