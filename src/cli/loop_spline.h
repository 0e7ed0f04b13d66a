// SPDX-License-Identifier: Apache-2.0
// Smooth closed paths through a sequence of points, which videos follow from latent to latent.
#pragma once

#include <ATen/ATen.h>

namespace galette {

/// The cubic spline through values that repeat with period K: value k at x = k, k + K, ... As in
/// the published videos it is that of 5 K knots, two periods more on either side, with not-a-knot
/// ends; so it closes up to a factor 0.27 per knot from the ends, which is below 1 % for K = 2
/// already.
class LoopSpline {
 public:
  /// `values` [K, n], K >= 1. A single value stays as it is for all x.
  explicit LoopSpline(const at::Tensor& values);

  /// float64 [n], for 0 <= x <= K.
  at::Tensor value_at(double x) const;

 private:
  at::Tensor values_;     ///< float64 [K + 1, n]: the first once more at the end
  at::Tensor curvature_;  ///< float64 [K + 1, n]: second derivatives there
};

}  // namespace galette
