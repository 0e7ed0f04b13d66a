// SPDX-License-Identifier: Apache-2.0
// metrics_math: Frechet and kernel distances, precision and recall, inception score of stored
// features. All are computed in double precision, whatever the type of the case.
#include "golden.h"
#include "metrics/feature_math.h"

namespace galette::golden {
namespace {

constexpr double kTolerance = 1e-6;
// Stored kernel distances and scores were summed in float32, which cancels in a small distance.
constexpr double kKernelTolerance = 2e-5, kScoreTolerance = 5e-6;

FeatureMoments moments(const at::Tensor& features) {
  FeatureMoments result(features.size(1));
  for (const at::Tensor& part : features.split(17)) result.add(part);
  return result;
}

void compare(const Case& c, const std::string& name, double value, double tolerance = kTolerance) {
  c.compare(name, at::scalar_tensor(value, c.options()), tolerance);
}

void check_frechet(const Case& c) {
  const FeatureMoments real = moments(c.raw("in/real")), fake = moments(c.raw("in/gen"));
  compare(c, "out/fid", frechet_distance(real, fake));
  if (!c.has("out/mean_gen")) return;
  c.compare("out/mean_gen", fake.mean().to(c.type()), kTolerance);
  c.compare("out/cov_gen", fake.covariance().to(c.type()), kTolerance);
}

void check_kernel(const Case& c) {
  const at::Tensor real = c.raw("in/real"), fake = c.raw("in/gen");
  const at::Tensor real_rows = c.raw("in/idx_real").to(at::kLong);
  const at::Tensor fake_rows = c.raw("in/idx_gen").to(at::kLong);
  double sum = 0;
  for (int64_t i = 0; i < real_rows.size(0); ++i) {
    sum += kernel_distance(real.index_select(0, real_rows[i]), fake.index_select(0, fake_rows[i]));
  }
  compare(c, "out/kid", sum / static_cast<double>(real_rows.size(0)), kKernelTolerance);
}

double fraction(const at::Tensor& manifold, const at::Tensor& probes, int64_t k) {
  const at::Tensor radii = neighbour_radii(manifold, manifold, k);
  return static_cast<double>(count_inside(manifold, radii, probes)) /
         static_cast<double>(probes.size(0));
}

/// The features are those of another group, rounded to 16 bits.
void check_precision_recall(const Case& c, int64_t k) {
  const auto features = [&](const std::string& name) {
    return c.file().read("pr_features/in/" + name).to(at::kHalf).to(at::kDouble);
  };
  const at::Tensor real = features("real"), fake = features("gen");
  compare(c, "out/precision_exact_distances", fraction(real, fake, k));
  compare(c, "out/recall_exact_distances", fraction(fake, real, k));
}

void check_inception_score(const Case& c) {
  const at::Tensor log_p = c.raw("in/probs").to(at::kDouble).log();
  const MeanAndDeviation score = inception_score(log_p), of_seven = inception_score(log_p, 7);
  compare(c, "out/mean", score.mean);
  compare(c, "out/std", score.deviation, kScoreTolerance);
  compare(c, "out/mean_splits7", of_seven.mean);
  compare(c, "out/std_splits7", of_seven.deviation, kScoreTolerance);
}

bool run(const Case& c) {
  if (c.name().starts_with("fid")) {
    check_frechet(c);
  } else if (c.name() == "kid") {
    check_kernel(c);
  } else if (c.name() == "is") {
    check_inception_score(c);
  } else if (c.name().starts_with("pr_nhood3")) {
    check_precision_recall(c, 3);
  } else if (c.name().starts_with("pr_nhood5")) {
    check_precision_recall(c, 5);
  } else {
    // The features of the two above; path lengths, which are not computed yet.
    return c.name() == "pr_features" || c.name() == "ppl" || c.name() == "slerp";
  }
  return true;
}

}  // namespace

Section metrics_math_section() {
  return {"metrics_math", root_groups, run};
}

}  // namespace galette::golden
