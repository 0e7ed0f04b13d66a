// SPDX-License-Identifier: Apache-2.0
// Path lengths: derivatives of what a perceptual distance makes of images, the same on any number
// of ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sample_rng.h"
#include "metrics/generator_metrics.h"
#include "metrics/metric_result.h"
#include "parallel/mpi_communicator.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/input_error.h"

namespace galette {
namespace {

/// Pixels themselves, so that distances are known.
class PixelDistance : public Lpips {
 public:
  at::Tensor embed(const at::Tensor& images) const override {
    largest = std::max(largest, images.size(2));
    return images.flatten(1) / 127.5;
  }
  const std::string& digest() const override { return digest_; }
  mutable int64_t largest = 0;

 private:
  std::string digest_ = "0123";
};

TEST(PathLength, ExtremesAreLeftOut) {
  const at::Tensor values = at::arange(1, 202, at::kDouble);
  values[7] = 1e9;
  // Of 201, the first and last hundredth end at numbers 2 and 198 in order, counted from 0.
  const double expected = (201 * 202 / 2.0 - 8 - 1 - 2 - 201) / 197;
  EXPECT_DOUBLE_EQ(mean_path_length(values), expected);
  EXPECT_DOUBLE_EQ(mean_path_length(at::full({3}, 2.5, at::kDouble)), 2.5);
  // The ends are the next order statistics outwards.
  EXPECT_DOUBLE_EQ(mean_path_length(at::tensor({1.0, 2.0, 9.0}, at::kDouble)), 4);
}

class PathLengthRanks : public ::testing::Test {
 protected:
  double value(Generator& g, int64_t samples, Communicator& comm, double scale = 1) const {
    Metric metric = parse_metric("ppl2_wend");
    metric.samples = samples;
    MetricSetup setup{g, comm, 3};
    setup.lpips = &distance_;
    setup.scale = scale;
    return compute_metric(metric, setup).value;
  }
  PixelDistance distance_;
  MpiCommunicator world_{MPI_COMM_WORLD}, self_{MPI_COMM_SELF};
};

TEST_F(PathLengthRanks, IsTheSquaredDerivativeAlongThePath) {
  const auto g = make_generator(testing::kCreps, testing::tiny_args(), at::kDouble);
  g->arena().initialize(SampleRng(5), 0);
  const at::NoGradGuard no_grad;
  const auto w = [&](uint16_t end) {
    const Stream stream{Purpose::metric_z, Phase::none, 1, end};
    return g->map(SampleRng(3).normal(stream, {0}, {16}, at::kDouble),
                  at::zeros({1, 0}, at::kDouble));
  };
  constexpr double kHalf = 1e-5;
  const at::Tensor way = w(2) - w(1);
  const at::Tensor ahead = g->synthesize(g->broadcast(w(1) + kHalf * way));
  const at::Tensor behind = g->synthesize(g->broadcast(w(1) - kHalf * way));
  const double expected = ((ahead - behind) / (2 * kHalf)).square().sum().item<double>();
  EXPECT_GT(expected, 0.01);
  // The metric's step is larger, and images are rounded to float32 before they are compared.
  EXPECT_NEAR(value(*g, 1, self_), expected, 0.03 * expected);
}

TEST_F(PathLengthRanks, DoesNotDependOnTheNumberOfRanks) {
  for (const char* family : {testing::kCreps, testing::kStyleGan2}) {
    const auto g = testing::tiny_generator(family, testing::tiny_args());
    g->set_low_precision(at::kBFloat16);
    const double together = value(*g, 21, world_), alone = value(*g, 21, self_);
    EXPECT_GT(alone, 0);
    EXPECT_NEAR(together, alone, 1e-9 * alone) << family;
    EXPECT_EQ(g->low_precision(), at::kBFloat16);
  }
}

TEST_F(PathLengthRanks, LargeImagesAreAveragedAndSmallOnesRefused) {
  const auto g = testing::tiny_generator(testing::kCreps, testing::tiny_args());
  value(*g, 1, self_, 32);
  EXPECT_EQ(distance_.largest, 256);
  const auto small =
      testing::tiny_generator(testing::kCreps, testing::tiny_args({{"img_resolution", 8}}));
  EXPECT_THAT(testing::error_of([&] { value(*small, 2, world_); }),
              ::testing::HasSubstr("LPIPS takes images of 16 pixels on, these have 8"));
}

}  // namespace
}  // namespace galette
