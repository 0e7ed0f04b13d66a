// SPDX-License-Identifier: Apache-2.0
// Distances between sets of features [n, d] of real and generated images, and scores of class
// probabilities. All in double precision.
#pragma once

#include <cstdint>

#include <ATen/ATen.h>

namespace galette {

/// Count, sum [d] and sum of products [d, d] of features, float64; those of parts of a set add up.
struct FeatureMoments {
  explicit FeatureMoments(int64_t dim)
      : sum(at::zeros({dim}, at::kDouble)), products(at::zeros({dim, dim}, at::kDouble)) {}

  void add(const at::Tensor& features);
  at::Tensor mean() const;
  /// With divisor n.
  at::Tensor covariance() const;

  int64_t count = 0;
  at::Tensor sum, products;
};

/// |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)) of two normal distributions (Heusel et al. 2017).
double frechet_distance(const FeatureMoments& a, const FeatureMoments& b);

/// Unbiased squared maximum mean discrepancy of two sets of equal size with the kernel
/// (x.y/d + 1)^3 (Binkowski et al. 2018).
double kernel_distance(const at::Tensor& real, const at::Tensor& generated);

/// How many of `probes` lie within the k-th nearest neighbour's distance of any of `manifold`
/// (Kynkaanniemi et al. 2019): precision for generated probes among real ones, recall the other way
/// round, times the number of probes. `radii`: of neighbour_radii().
int64_t count_inside(const at::Tensor& manifold, const at::Tensor& radii, const at::Tensor& probes);

/// Distances [rows] of `rows`, which are of the manifold, to their k-th nearest others in it.
at::Tensor neighbour_radii(const at::Tensor& manifold, const at::Tensor& rows, int64_t k);

struct MeanAndDeviation {
  double mean = 0, deviation = 0;
};

/// exp(mean KL(p(y|x) || p(y))) of `splits` consecutive parts of log probabilities [n, classes],
/// their mean and population deviation (Salimans et al. 2016).
MeanAndDeviation inception_score(const at::Tensor& log_probabilities, int64_t splits = 10);

}  // namespace galette
