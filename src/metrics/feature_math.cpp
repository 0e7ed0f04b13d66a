// SPDX-License-Identifier: Apache-2.0
#include "metrics/feature_math.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <c10/util/Exception.h>

namespace galette {

void FeatureMoments::add(const at::Tensor& features) {
  const at::Tensor x = features.to(at::kDouble);
  count += x.size(0);
  sum += x.sum(0);
  products.addmm_(x.t(), x);
}

at::Tensor FeatureMoments::mean() const {
  return sum / static_cast<double>(count);
}

at::Tensor FeatureMoments::covariance() const {
  const at::Tensor m = mean();
  return products / static_cast<double>(count) - at::outer(m, m);
}

double frechet_distance(const FeatureMoments& a, const FeatureMoments& b) {
  TORCH_CHECK(a.count > 0 && b.count > 0, "a Frechet distance needs features of both sets");
  const at::Tensor ca = a.covariance(), cb = b.covariance();
  // C C' has the eigenvalues of the symmetric C^(1/2) C' C^(1/2), which is stable where C C' is
  // not.
  const auto [values, vectors] = at::linalg_eigh(ca);
  const at::Tensor root = vectors * values.clamp_min(0).sqrt();
  const at::Tensor eigenvalues = at::linalg_eigvalsh(root.t().mm(cb).mm(root));
  // A covariance of n images has rank n - 1: the others are zero, and only rounding shows in them.
  const int64_t rank = std::min({eigenvalues.size(0), a.count - 1, b.count - 1});
  const at::Tensor nonzero = eigenvalues.slice(0, eigenvalues.size(0) - rank).clamp_min(0);
  const at::Tensor trace = ca.trace() + cb.trace() - 2 * nonzero.sqrt().sum();
  return ((a.mean() - b.mean()).square().sum() + trace).item<double>();
}

double kernel_distance(const at::Tensor& real, const at::Tensor& generated) {
  TORCH_CHECK(real.size(0) == generated.size(0) && real.size(0) > 1,
              "a kernel distance needs two sets of one size, of at least two");
  const at::Tensor x = generated.to(at::kDouble), y = real.to(at::kDouble);
  const auto m = static_cast<double>(x.size(0)), d = static_cast<double>(x.size(1));
  const auto kernel = [&](const at::Tensor& p, const at::Tensor& q) {
    return (p.mm(q.t()) / d + 1).pow(3);
  };
  const at::Tensor own = kernel(x, x) + kernel(y, y);
  const at::Tensor within = (own.sum() - own.trace()) / (m - 1);
  return ((within - kernel(x, y).sum() * 2 / m) / m).item<double>();
}

InceptionScore::InceptionScore(int64_t count, int64_t splits, int64_t classes)
    : sums(at::zeros({splits, classes + 1}, at::kDouble)), count_(count), splits_(splits) {
  TORCH_CHECK(count >= splits, "an inception score of ", splits, " parts needs as many images");
}

void InceptionScore::add(int64_t first, const at::Tensor& log_probabilities) {
  const int64_t end = first + log_probabilities.size(0);
  for (int64_t split = 0; split < splits_; ++split) {
    const int64_t from = std::max(first, split_begin(split));
    const int64_t to = std::min(end, split_begin(split + 1));
    if (from >= to) continue;
    const at::Tensor log_p = log_probabilities.slice(0, from - first, to - first).to(at::kDouble);
    const at::Tensor p = log_p.exp();
    // 0 log 0 is 0.
    const at::Tensor entropy = at::where(p > 0, p * log_p, at::zeros_like(p)).sum();
    sums[split] += at::cat({p.sum(0), entropy.view({1})});
  }
}

MeanAndDeviation InceptionScore::value() const {
  const int64_t classes = sums.size(1) - 1;
  std::vector<double> scores;
  for (int64_t split = 0; split < splits_; ++split) {
    const auto n = static_cast<double>(split_begin(split + 1) - split_begin(split));
    const at::Tensor p = sums[split].slice(0, 0, classes) / n;
    const at::Tensor mean_entropy = at::where(p > 0, p * p.log(), at::zeros_like(p)).sum();
    scores.push_back(std::exp((sums[split][classes] / n - mean_entropy).item<double>()));
  }
  const at::Tensor all = at::tensor(scores, at::kDouble);
  return {all.mean().item<double>(), all.std(/*unbiased=*/false).item<double>()};
}

}  // namespace galette
