// SPDX-License-Identifier: Apache-2.0
// Metrics of features: the same value on any number of ranks, and what they say of simple sets.
#include "metrics/feature_metrics.h"

#include <cmath>
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/dataset_file.h"
#include "io/dataset_packer.h"
#include "io/image_codec.h"
#include "metrics/feature_math.h"
#include "metrics/metric_result.h"
#include "parallel/mpi_communicator.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"

namespace galette {
namespace {

TEST(FeatureMath, FrechetDistanceOfShiftedAndScaledFeatures) {
  const at::Tensor x = at::randn({500, 6}, at::kDouble);
  FeatureMoments a(6), b(6), c(6);
  a.add(x);
  b.add(x + 0.5);
  c.add(x * 2);
  EXPECT_NEAR(frechet_distance(a, a), 0, 1e-9);
  EXPECT_NEAR(frechet_distance(a, b), 6 * 0.25, 1e-9);
  // |m|^2 + tr(C + 4 C - 4 C)
  const double expected =
      a.mean().square().sum().item<double>() + a.covariance().trace().item<double>();
  EXPECT_NEAR(frechet_distance(a, c), expected, 1e-9);
}

TEST(FeatureMath, PrecisionFallsAndRecallStaysWhenImagesAreAdded) {
  const at::Tensor real = at::randn({200, 4}, at::kDouble);
  const at::Tensor fake = at::cat({real, real + 100});
  const auto inside = [](const at::Tensor& manifold, const at::Tensor& probes) {
    return count_inside(manifold, neighbour_radii(manifold, manifold, 3), probes);
  };
  EXPECT_EQ(inside(real, fake), 200);
  EXPECT_EQ(inside(fake, real), 200);
}

/// Stands for a trained network: means and squares of pixels.
class PixelDetector : public Detector {
 public:
  explicit PixelDetector(const std::string& kind) : Detector(kind, "0123") {}
  at::Tensor features(const at::Tensor& images) const override {
    const at::Tensor x = at::adaptive_avg_pool2d(images.to(at::kFloat) / 255, {2, 2}).flatten(1);
    return at::cat({x, x.square()}, 1);
  }
  int64_t feature_dim() const override { return 24; }
  at::Tensor log_probabilities(const at::Tensor& images) const override {
    return at::log_softmax(features(images).repeat({1, 42}), 1);
  }
};

class FeatureMetricsRanks : public ::testing::Test {
 protected:
  static constexpr int kImages = 37;  // some ranks get fewer than others

  FeatureMetricsRanks() {
    const std::string folder = dir_.file("images");
    if (world_.rank() == 0) write_pictures(folder);
    world_.barrier();
    io::PackOptions options;
    options.source = folder;
    options.dest = dir_.file("real.h5");
    io::pack_dataset(options, MPI_COMM_WORLD, [](int64_t, int64_t) {});
    data_.emplace(io::Dataset::open(options.dest));
  }

  static void write_pictures(const std::string& folder) {
    std::filesystem::create_directory(folder);
    for (int i = 0; i < kImages; ++i) {
      io::Image image(16, 16, 3);
      for (size_t k = 0; k < image.pixels.size(); ++k) {
        image.pixels[k] = static_cast<uint8_t>((k * k + 31 * i * k + 7 * i) >> 3);
      }
      io::write_png(fmt::format("{}/{:02d}.png", folder, i), image);
    }
  }

  std::vector<std::pair<std::string, double>> values(const Metric& metric,
                                                     Communicator& comm) const {
    MetricSetup setup{*generator_, comm, 3, &*data_};
    setup.detectors = {&inception_, &vgg_};
    return feature_metric(metric, setup).values;
  }

  MpiCommunicator world_{MPI_COMM_WORLD}, self_{MPI_COMM_SELF};
  testing::TempDir dir_{MPI_COMM_WORLD};
  std::unique_ptr<Generator> generator_ =
      testing::tiny_generator(testing::kCreps, testing::tiny_args());
  std::optional<io::Dataset> data_;
  PixelDetector inception_{"inception"}, vgg_{"vgg16"};
};

TEST_F(FeatureMetricsRanks, DoNotDependOnTheNumberOfRanks) {
  for (const char* name : {"fid50k_full", "kid50k_full", "is50k", "pr50k3_full"}) {
    Metric metric = parse_metric(name);
    metric.samples = 29;
    const auto together = values(metric, world_), alone = values(metric, self_);
    ASSERT_EQ(together.size(), alone.size());
    for (size_t i = 0; i < alone.size(); ++i) {
      EXPECT_EQ(together[i].first, alone[i].first);
      EXPECT_TRUE(std::isfinite(alone[i].second));
      // Sums in another order, whose differences are small against the features' squares (1).
      EXPECT_NEAR(together[i].second, alone[i].second, 1e-9) << alone[i].first;
    }
  }
}

TEST_F(FeatureMetricsRanks, TooFewImagesAreRefused) {
  EXPECT_THAT(testing::error_of([&] { values(parse_metric("is9"), world_); }),
              ::testing::HasSubstr("is9: 9 images are too few: at least 10 are needed"));
}

}  // namespace
}  // namespace galette
