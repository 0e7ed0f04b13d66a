// SPDX-License-Identifier: Apache-2.0
#include "metrics/generator_metrics.h"

#include <cmath>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "metrics/metric_result.h"
#include "metrics/psnr.h"
#include "models/creps.h"
#include "models/stylegan3.h"
#include "parallel/mpi_communicator.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/input_error.h"

namespace galette {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::kCreps;
using testing::kStyleGan3;
using testing::tiny_args;
using testing::tiny_generator;

TEST(MetricName, AnyNumberOfSamples) {
  EXPECT_EQ(parse_metric("eqt50k_int").samples, 50'000);
  EXPECT_EQ(parse_metric("eqt7_int").samples, 7);
  EXPECT_EQ(parse_metric("eqt1k_frac").kind, MetricKind::eqt_frac);
  EXPECT_EQ(parse_metric("eqr200").kind, MetricKind::eqr);
  EXPECT_EQ(parse_metric("scale_consistency2k").kind, MetricKind::scale_consistency);
  for (const char* name : {"fid50k_full", "kid5k_full", "pr50k3_full", "pr5k3", "fid1k", "kid50k",
                           "is10k", "ppl2_wend", "ppl2_wend5k"}) {
    EXPECT_NE(parse_metric(name).samples, 0) << name;
  }
  EXPECT_FALSE(parse_metric("fid5k").higher_is_better);
  EXPECT_EQ(parse_metric("pr5k3_full").samples, 5000);
  EXPECT_EQ(parse_metric("ppl2_wend").samples, 50'000);
  EXPECT_EQ(parse_metric("ppl2_wend70").samples, 70);
}

TEST(MetricName, OthersAreRefused) {
  for (const char* name : {"", "fid", "fidk", "fid0k", "fid05k", "eqt50k", "eqt-1_int",
                           "eqr1000000k", "pr50k", "is50kk", "ppl5k_wend", "eqt50k_intx"}) {
    EXPECT_THAT(error_of([&] { parse_metric(name); }),
                HasSubstr(fmt::format("'{}' is not one of fid50k_full, ", name)));
  }
}

TEST(MetricName, ObstaclesNameWhatIsMissing) {
  EXPECT_THAT(metric_obstacle(parse_metric("fid1k"), "creps"), HasSubstr("detector"));
  EXPECT_THAT(metric_obstacle(parse_metric("pr9k3"), "creps", {"inception"}), HasSubstr("vgg16"));
  EXPECT_EQ(metric_obstacle(parse_metric("fid1k"), "creps", {"vgg16", "inception"}), "");
  EXPECT_THAT(metric_obstacle(parse_metric("ppl2_wend"), "creps", {"vgg16"}), HasSubstr("LPIPS"));
  EXPECT_EQ(metric_obstacle(parse_metric("ppl2_wend"), "creps", {"lpips"}), "");
  EXPECT_EQ(metric_obstacle(parse_metric("ppl2_wend"), "", {"lpips"}), "needs a network");
  EXPECT_THAT(metric_obstacle(parse_metric("eqr1k"), "creps"), HasSubstr("StyleGAN3"));
  EXPECT_EQ(metric_obstacle(parse_metric("eqr1k"), "stylegan3"), "");
  EXPECT_THAT(metric_obstacle(parse_metric("scale_consistency1"), "stylegan2"), HasSubstr("CREPS"));
}

class GeneratorMetricsRanks : public ::testing::Test {
 protected:
  double value(const std::string& name, Generator& g) {
    return compute_metric(parse_metric(name), {g, world_, 3}).value;
  }
  /// Rank 0 alone computes all samples again.
  void expect_like_one_rank(double db, const std::string& name, Generator& g) {
    if (world_.rank() != 0) return;
    // Batches are the same whatever rank computes them; only the sum over ranks is rounded.
    EXPECT_NEAR(db, compute_metric(parse_metric(name), {g, self_, 3}).value, 1e-12 * std::abs(db))
        << name;
  }
  MpiCommunicator world_{MPI_COMM_WORLD}, self_{MPI_COMM_SELF};
};

/// PSNR of images and the same moved by a sixteenth of their width, the mean shift of EQ-T: what a
/// generator or a metric would get that did not move them, or moved them elsewhere.
double unmoved_psnr(Generator& g) {
  const at::NoGradGuard no_grad;
  MpiCommunicator self(MPI_COMM_SELF);
  const at::Tensor ws = sample_latents({g, self, 3}, {0, 1, 2, 3});
  const at::Tensor still = g.synthesize(ws);
  const at::Tensor mask = at::ones(still.sizes().slice(2), at::kDouble);
  const at::Tensor transform = dynamic_cast<StyleGan3Generator&>(g).transform();
  transform.copy_(StyleGan3Generator::inverse_transform(0, 1.0 / 16, 1.0 / 16));
  SquaredError error;
  error.add(still, g.synthesize(ws), mask);
  transform.copy_(at::eye(3));
  return error.psnr();
}

/// StyleGAN3 is equivariant by construction, up to what the cut of its filters leaves.
TEST_F(GeneratorMetricsRanks, AStyleGan3GeneratorIsEquivariant) {
  const auto t = tiny_generator(kStyleGan3, tiny_args());
  const auto r = tiny_generator(
      kStyleGan3,
      tiny_args({{"img_resolution", 32}, {"conv_kernel", 1}, {"use_radial_filters", true}}));
  const struct {
    const char* name;
    Generator& g;
  } cases[] = {{"eqt9_int", *t}, {"eqt6_frac", *t}, {"eqr6", *r}};
  for (const auto& [name, g] : cases) {
    const at::Tensor before = dynamic_cast<StyleGan3Generator&>(g).transform().clone();
    g.set_low_precision(at::kBFloat16);
    const double db = value(name, g);
    EXPECT_GT(db, unmoved_psnr(g) + 10) << name;
    EXPECT_LT(db, 120) << name;
    expect_like_one_rank(db, name, g);
    EXPECT_EQ(g.low_precision(), at::kBFloat16);
    EXPECT_TRUE(dynamic_cast<StyleGan3Generator&>(g).transform().equal(before)) << name;
  }
}

TEST_F(GeneratorMetricsRanks, ScaleConsistencyIsThatOfAllSamples) {
  const auto g = tiny_generator(kCreps, tiny_args());
  const double db = value("scale_consistency9", *g);
  expect_like_one_rank(db, "scale_consistency9", *g);

  const auto& creps = dynamic_cast<const CrepsGenerator&>(*g);
  std::vector<int64_t> samples(9);
  for (size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<int64_t>(i);
  const at::NoGradGuard no_grad;
  const at::Tensor ws = sample_latents({*g, self_, 3}, samples);
  const at::Tensor small = CrepsGenerator::grid(16, at::kFloat);
  const at::Tensor large = CrepsGenerator::grid(32, at::kFloat);
  const at::Tensor means = creps.synthesize_at(ws, large, large)
                               .to(at::kDouble)
                               .view({9, 3, 16, 2, 16, 2})
                               .mean(at::IntArrayRef{3, 5});
  const at::Tensor mean_square =
      (means - creps.synthesize_at(ws, small, small).to(at::kDouble)).square().mean();
  // Pixels are computed in other groups here: float32 rounds them differently.
  EXPECT_NEAR(db, 10 * std::log10(4 / mean_square.item<double>()), 1e-3);
}

TEST_F(GeneratorMetricsRanks, OneRankStopsAndFailsForAll) {
  const auto g = tiny_generator(kCreps, tiny_args());
  MetricSetup setup{*g, world_};
  const int last = world_.size() - 1;
  int batches = 0;
  setup.stop = [&] { return world_.rank() == last && batches > 0; };
  EXPECT_THROW(for_each_batch("stopped", 100, setup, [&](int64_t, const auto&) { ++batches; }),
               MetricStopped);
  EXPECT_EQ(batches, 1);
  setup.stop = [] { return false; };
  std::string message;
  try {
    for_each_batch("failed", 100, setup, [&](int64_t, const auto&) {
      if (world_.rank() == last) throw std::runtime_error(fmt::format("of rank {}", last));
    });
  } catch (const std::runtime_error& error) {
    message = error.what();
  }
  EXPECT_EQ(message, fmt::format("of rank {}", last));
}

TEST_F(GeneratorMetricsRanks, EachSampleIsComputedOnce) {
  const auto g = tiny_generator(kCreps, tiny_args());
  for (const int64_t n : {1, 4, 5, 37}) {
    at::Tensor seen = at::zeros({n}, at::kLong);
    for_each_batch("all", n, {*g, world_}, [&](int64_t batch, const auto& samples) {
      for (const int64_t s : samples) {
        EXPECT_EQ(s / kMetricBatch, batch);
        seen[s] += 1;
      }
    });
    world_.all_reduce(seen, ReduceOp::sum);
    EXPECT_TRUE(seen.eq(1).all().item<bool>()) << n;
  }
}

}  // namespace
}  // namespace galette
