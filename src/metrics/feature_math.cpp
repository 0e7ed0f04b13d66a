// SPDX-License-Identifier: Apache-2.0
#include "metrics/feature_math.h"

#include <cmath>
#include <tuple>
#include <vector>

#include <c10/util/Exception.h>

namespace galette {
namespace {

constexpr int64_t kRowsAtATime = 1024;  ///< of a matrix of distances

/// Distances [n, m], by |a|^2 + |b|^2 - 2 a.b: the products take the time, and in double precision
/// what cancels leaves more digits than features have.
at::Tensor distances(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(at::kDouble), y = b.to(at::kDouble);
  const at::Tensor squares = x.square().sum(1, /*keepdim=*/true) + y.square().sum(1);
  return squares.addmm_(x, y.t(), 1, -2).clamp_min_(0).sqrt_();
}

}  // namespace

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
  const at::Tensor trace = ca.trace() + cb.trace() - 2 * eigenvalues.clamp_min(0).sqrt().sum();
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

at::Tensor neighbour_radii(const at::Tensor& manifold, const at::Tensor& rows, int64_t k) {
  TORCH_CHECK(manifold.size(0) > k, "each of ", manifold.size(0), " images has fewer than ", k,
              " neighbours");
  std::vector<at::Tensor> radii;
  for (const at::Tensor& part : rows.split(kRowsAtATime)) {
    // The nearest is the image itself.
    radii.push_back(std::get<0>(distances(part, manifold).kthvalue(k + 1, 1)));
  }
  return radii.empty() ? at::empty({0}, at::kDouble) : at::cat(radii);
}

int64_t count_inside(const at::Tensor& manifold, const at::Tensor& radii,
                     const at::Tensor& probes) {
  int64_t count = 0;
  for (const at::Tensor& part : probes.split(kRowsAtATime)) {
    count += (distances(part, manifold) <= radii).any(1).sum().item<int64_t>();
  }
  return count;
}

MeanAndDeviation inception_score(const at::Tensor& log_probabilities, int64_t splits) {
  const at::Tensor log_p = log_probabilities.to(at::kDouble);
  const int64_t n = log_p.size(0);
  TORCH_CHECK(n >= splits, "an inception score of ", splits, " parts needs as many images");
  std::vector<double> scores;
  for (int64_t i = 0; i < splits; ++i) {
    const at::Tensor part = log_p.slice(0, i * n / splits, (i + 1) * n / splits);
    const at::Tensor p = part.exp();
    const at::Tensor log_mean = p.mean(0, /*keepdim=*/true).log();
    // 0 log 0 is 0.
    const at::Tensor terms = at::where(p > 0, p * (part - log_mean), at::zeros_like(p));
    scores.push_back(std::exp(terms.sum(1).mean().item<double>()));
  }
  const at::Tensor all = at::tensor(scores, at::kDouble);
  return {all.mean().item<double>(), all.std(/*unbiased=*/false).item<double>()};
}

}  // namespace galette
