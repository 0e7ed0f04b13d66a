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

struct MeanAndDeviation {
  double mean = 0, deviation = 0;
};

/// The inception score (Salimans et al. 2016) of class probabilities that come part by part:
/// exp(mean KL(p(y|x) || p(y))) of `splits` consecutive parts of the images. Only sums are kept;
/// those of parts of a set add up.
class InceptionScore {
 public:
  /// Of `count` images, at least as many as splits.
  InceptionScore(int64_t count, int64_t splits, int64_t classes);

  /// Log probabilities [n, classes] of images `first` and following ones.
  void add(int64_t first, const at::Tensor& log_probabilities);
  /// Mean and population deviation over the splits.
  MeanAndDeviation value() const;

  /// float64 [splits, classes + 1]: sums of p(y|x) over the images, and of p log p over both.
  at::Tensor sums;

 private:
  int64_t split_begin(int64_t split) const { return split * count_ / splits_; }

  int64_t count_, splits_;
};

}  // namespace galette
