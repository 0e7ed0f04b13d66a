// SPDX-License-Identifier: Apache-2.0
// Filter buffers for upfirdn2d: a 1-D tensor holds the taps of a filter that is applied along x and
// along y; a 2-D tensor [height, width] holds a general one. Filters are constants of the networks
// and have no gradient.
#pragma once

#include <optional>
#include <vector>

#include <ATen/ATen.h>

namespace galette {

struct SetupFilterOptions {
  bool normalize = true;            ///< Divide by the sum of the taps, so that a constant stays.
  bool flip_filter = false;         ///< Reverse all axes.
  double gain = 1;                  ///< Total gain of the two-dimensional filter.
  std::optional<bool> separable{};  ///< Keep 1-D taps 1-D; by default from 8 taps on.
  at::ScalarType dtype = at::kFloat;
};

/// Turns taps (undefined = identity, a scalar, 1-D or 2-D) into a filter buffer: 1-D taps that are
/// not separable become their outer product, then the sum is normalised, the axes are flipped and
/// the gain is applied (its square root per axis to a filter that stays 1-D). Throws c10::Error for
/// other ranks, no taps, or a zero sum that is to be normalised.
at::Tensor setup_filter(const at::Tensor& taps, const SetupFilterOptions& options = {});
at::Tensor setup_filter(const std::vector<double>& taps, const SetupFilterOptions& options = {});

}  // namespace galette
