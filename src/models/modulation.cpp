// SPDX-License-Identifier: Apache-2.0
#include "models/modulation.h"

#include <cmath>

namespace galette {
namespace {

/// The largest magnitude along all axes but the first, which keep their place with size 1.
at::Tensor largest(const at::Tensor& x) {
  std::vector<int64_t> axes;
  for (int64_t axis = 1; axis < x.dim(); ++axis) axes.push_back(axis);
  return x.detach().abs().amax(axes, true);
}

}  // namespace

Modulation Modulation::for_16_bits() const {
  const int64_t fan_in = weight.numel() / weight.size(0);
  return {weight / (largest(weight) * std::sqrt(static_cast<double>(fan_in))),
          style / largest(style)};
}

}  // namespace galette
