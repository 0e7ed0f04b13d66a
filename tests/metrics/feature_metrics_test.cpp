// SPDX-License-Identifier: Apache-2.0
// Metrics of features: the same value on any number of ranks, and what they say of simple sets.
#include "metrics/feature_metrics.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/dataset_file.h"
#include "io/dataset_packer.h"
#include "io/image_codec.h"
#include "metrics/feature_math.h"
#include "metrics/generated_images.h"
#include "metrics/metric_result.h"
#include "models/creps.h"
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

/// Fewer images than features: eigenvalues that are zero must not show their rounding.
TEST(FeatureMath, FrechetDistanceOfFewImagesDoesNotDependOnTheOrderOfSums) {
  const at::Tensor x = at::rand({20, 300}, at::kDouble), y = at::rand({31, 300}, at::kDouble);
  const auto distance = [&](int64_t part) {
    FeatureMoments a(300), b(300);
    for (const at::Tensor& rows : x.split(part)) a.add(rows);
    for (const at::Tensor& rows : y.split(part)) b.add(rows);
    return frechet_distance(a, b);
  };
  EXPECT_NEAR(distance(31), distance(1), 1e-11 * distance(1));
  EXPECT_NEAR(distance(7), distance(1), 1e-11 * distance(1));
}

TEST(FeatureMath, InceptionScoreOfPartsIsThatOfTheFormula) {
  const at::Tensor log_p = at::log_softmax(4 * at::randn({43, 7}, at::kDouble), 1);
  log_p[5].fill_(-std::numeric_limits<double>::infinity());  // underflown
  log_p[5][3] = 0;
  constexpr int64_t kSplits = 4;
  InceptionScore parts(43, kSplits, 7), first(43, kSplits, 7);
  first.add(0, log_p.slice(0, 0, 19));
  parts.add(19, log_p.slice(0, 19, 24));
  parts.add(24, log_p.slice(0, 24, 43));
  parts.sums += first.sums;
  std::vector<double> scores;
  for (int64_t i = 0; i < kSplits; ++i) {
    const at::Tensor p = log_p.slice(0, 43 * i / kSplits, 43 * (i + 1) / kSplits).exp();
    const at::Tensor ratio = (p / p.mean(0, true)).clamp_min(1e-300);
    scores.push_back(std::exp((p * ratio.log()).sum(1).mean().item<double>()));
  }
  const at::Tensor expected = at::tensor(scores, at::kDouble);
  EXPECT_NEAR(parts.value().mean, expected.mean().item<double>(), 1e-12);
  EXPECT_NEAR(parts.value().deviation, expected.std(false).item<double>(), 1e-12);
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
    return feature_metric(metric, setup(comm)).values;
  }
  MetricSetup setup(Communicator& comm) const {
    MetricSetup setup{*generator_, comm, 3, &*data_};
    setup.detectors = {&inception_, &vgg_};
    return setup;
  }
  static Metric metric(const std::string& name, int64_t samples) {
    Metric metric = parse_metric(name);
    metric.samples = samples;
    return metric;
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

TEST_F(FeatureMetricsRanks, KeptFeaturesGiveTheSameValues) {
  const testing::TempDir cache(MPI_COMM_WORLD);
  MetricSetup shared = setup(world_), alone = setup(self_);
  shared.cache = cache.path();
  for (const char* name : {"fid50k_full", "kid50k", "pr50k3_full"}) {
    const Metric some = metric(name, 21);
    const FeatureResult first = feature_metric(some, shared), second = feature_metric(some, shared);
    EXPECT_FALSE(first.real_cached) << name;
    EXPECT_TRUE(second.real_cached) << name;
    EXPECT_EQ(first.num_real, second.num_real);
    EXPECT_EQ(first.values, second.values) << name;
    alone.cache = cache.path();
    const FeatureResult by_one = feature_metric(some, alone);
    EXPECT_TRUE(by_one.real_cached) << name;
    EXPECT_NEAR(by_one.values[0].second, first.values[0].second, 1e-9) << name;
  }
}

TEST_F(FeatureMetricsRanks, GivenImagesAreJudgedWithoutAGenerator) {
  const auto real = open_image_set(dir_.file("real.h5"));
  const auto folder = open_image_set(dir_.file("images"));
  for (ImageSet* images : {real.get(), folder.get()}) {
    MetricSetup given{nullptr, world_, 3, &*data_};
    given.detectors = {&inception_, &vgg_};
    given.images = images;
    EXPECT_NEAR(feature_metric(metric("fid50k_full", kImages), given).values[0].second, 0, 1e-9);
    for (const auto& [name, value] : feature_metric(metric("pr50k3_full", kImages), given).values) {
      EXPECT_EQ(value, 1) << name;
    }
    EXPECT_THAT(testing::error_of([&] { feature_metric(metric("fid50k_full", 38), given); }),
                ::testing::HasSubstr("fid50k_full: takes 38 images, and there are 37"));
  }
}

TEST_F(FeatureMetricsRanks, AtAnotherScaleImagesAreMadeLarger) {
  MetricSetup large = setup(world_);
  large.scale = 2.5;
  const at::NoGradGuard no_grad;
  const at::Tensor images = GeneratedImages(large, 3).images({0, 1, 2});
  ASSERT_EQ(images.sizes(), at::IntArrayRef({3, 3, 40, 40}));
  const auto& g = dynamic_cast<const CrepsGenerator&>(*generator_);
  const at::Tensor line = CrepsGenerator::grid(40, at::kFloat);
  const at::Tensor expected =
      (g.synthesize_at(sample_latents(large, {0, 1, 2}), line, line) * 127.5 + 128).clamp(0, 255);
  EXPECT_LE((images.to(at::kFloat) - expected.floor()).abs().max().item<float>(), 1);
  EXPECT_NE(values(metric("fid50k_full", 9), world_)[0].second,
            feature_metric(metric("fid50k_full", 9), large).values[0].second);
}

/// Noise of a sample is its own, whatever others it is computed with.
TEST_F(FeatureMetricsRanks, NoiseIsRandomAndThatOfTheSample) {
  const auto g = testing::tiny_generator(testing::kStyleGan2, testing::tiny_args());
  const MetricSetup noisy{*g, self_, 3};
  const at::NoGradGuard no_grad;
  const at::Tensor ws = sample_latents(noisy, {4, 5});
  const at::Tensor both = render_samples(noisy, ws, {4, 5});
  EXPECT_LT((both[1] - render_samples(noisy, ws.slice(0, 1), {5})[0]).abs().max().item<float>(),
            1e-4f);
  const auto differs = [&](const at::Tensor& other) {
    return (other - both).abs().max().item<float>();
  };
  EXPECT_GT(differs(render_samples(noisy, ws, {6, 7})), 0.01f);
  EXPECT_GT(differs(render_samples(noisy, ws, {4, 5}, 1)), 0.01f);
  EXPECT_GT(differs(g->synthesize(ws)), 0.01f);
}

TEST_F(FeatureMetricsRanks, TooFewImagesAreRefused) {
  EXPECT_THAT(testing::error_of([&] { values(parse_metric("is9"), world_); }),
              ::testing::HasSubstr("is9: 9 images are too few: at least 10 are needed"));
}

}  // namespace
}  // namespace galette
