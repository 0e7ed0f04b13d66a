// SPDX-License-Identifier: Apache-2.0
// metrics_math: Frechet and kernel distances, precision and recall, inception score of stored
// features. All are computed in double precision, whatever the type of the case.
#include "golden.h"
#include "metrics/feature_math.h"
#include "metrics/generator_metrics.h"
#include "metrics/neighbours.h"
#include "parallel/mpi_communicator.h"

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

/// The features are those of another group, rounded to 16 bits.
void check_precision_recall(const Case& c, int64_t k) {
  const auto features = [&](const std::string& name) {
    return c.file().read("pr_features/in/" + name).to(at::kHalf).to(at::kFloat);
  };
  MpiCommunicator alone(MPI_COMM_SELF);
  const Coverage result =
      coverage(SharedFeatures(features("real"), alone), SharedFeatures(features("gen"), alone), k);
  compare(c, "out/precision_exact_distances", result.precision);
  compare(c, "out/recall_exact_distances", result.recall);
}

void check_inception_score(const Case& c) {
  const at::Tensor log_p = c.raw("in/probs").to(at::kDouble).log();
  const auto score_of = [&](int64_t splits) {
    InceptionScore score(log_p.size(0), splits, log_p.size(1));
    int64_t first = 0;
    for (const at::Tensor& part : log_p.split(17)) {
      score.add(first, part);
      first += part.size(0);
    }
    return score.value();
  };
  const MeanAndDeviation score = score_of(10), of_seven = score_of(7);
  compare(c, "out/mean", score.mean);
  compare(c, "out/std", score.deviation, kScoreTolerance);
  compare(c, "out/mean_splits7", of_seven.mean);
  compare(c, "out/std_splits7", of_seven.deviation, kScoreTolerance);
}

void check_path_length(const Case& c) {
  compare(c, "out/ppl", mean_path_length(c.raw("in/dist").to(at::kDouble)));
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
  } else if (c.name() == "ppl") {
    check_path_length(c);
  } else {
    // The features of precision and recall; paths in Z, of which no metric is made.
    return c.name() == "pr_features" || c.name() == "slerp";
  }
  return true;
}

}  // namespace

Section metrics_math_section() {
  return {"metrics_math", root_groups, run, /*is_for_cpu=*/true};
}

}  // namespace galette::golden
