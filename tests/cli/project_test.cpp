// SPDX-License-Identifier: Apache-2.0
// `galette project`: finds an image that the network made itself, and what it writes shows that
// image again.
#include <array>
#include <filesystem>
#include <regex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/latents.h"
#include "cli/projection.h"
#include "cli/target_image.h"
#include "io/file_util.h"
#include "io/image_codec.h"
#include "io/npz.h"
#include "tests/cli/program.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/random_lpips.h"
#include "tests/support/temp_dir.h"
#include "tests/support/video_reader.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// How much smaller the distance to an image of the network's own is after so many steps, compared
/// with that of the average image.
double gain(const std::string& class_name, int64_t steps) {
  const auto g = tiny_generator(class_name, tiny_args());
  const at::Tensor target = g->synthesize(LatentSource(*g, std::nullopt, 1).ws({7, 0, 0, {}}));
  const ImageDistance distance = pyramid_distance(target);
  const LatentCloud cloud = sample_cloud(*g, at::zeros({1, 0}));
  Projection projection(*g, cloud, distance, {.steps = steps});
  for (int64_t k = 0; k < steps; ++k) projection.step();
  const auto distance_of = [&](const at::Tensor& w) {
    return distance(g->synthesize(g->broadcast(w))).item<double>();
  };
  return distance_of(cloud.mean) / distance_of(projection.w());
}

// In 100 steps, a tenth of the usual number.
TEST(Projection, FindsImagesOfCreps) {
  EXPECT_GT(gain(kCreps, 100), 10);
}

// Its noise maps are optimised too, and take over a part of what w would explain.
TEST(Projection, FindsImagesOfStyleGan2) {
  EXPECT_GT(gain(kStyleGan2, 100), 2);
}

TEST(Projection, CloudIsThatOfTenThousandLatents) {
  const auto g = tiny_generator(kCreps, tiny_args());
  const LatentCloud cloud = sample_cloud(*g, at::zeros({1, 0}));
  io::LegacyRandom random(123);
  at::Tensor w = g->map(draw_normals(random, 16 * 10'000).view({-1, 16}).to(at::kFloat),
                        at::zeros({10'000, 0}));
  // Another order of sums of 10,000 values near 1.
  EXPECT_LT((cloud.mean - w.mean(0)).abs().max().item<double>(), 1e-4);
  EXPECT_NEAR(cloud.deviation, std::sqrt((w - w.mean(0)).square().sum(1).mean().item<double>()),
              1e-3);
}

TEST(Projection, ResemblanceOfNoise) {
  // White noise of n x n values: mean products are about 1/n.
  const at::Tensor white =
      SampleRng(1).normal({.purpose = Purpose::noise}, {0}, {1, 64, 64}, at::kDouble);
  EXPECT_LT(noise_resemblance(white).item<double>(), 0.1);
  // Equal values: 2 per level, and each halving doubles them: 2 (1 + 16 + 256 + 4096).
  EXPECT_NEAR(noise_resemblance(at::ones({1, 1, 64, 64}, at::kDouble)).item<double>(), 8738, 1e-6);
}

TEST(Projection, DescendsLpips) {
  const WeightMap weights = random_lpips();
  const auto lpips = make_lpips({weights, "w", ""});
  const auto g = tiny_generator(kCreps, tiny_args());
  const at::Tensor target = g->synthesize(LatentSource(*g, std::nullopt, 1).ws({7, 0, 0, {}}));
  const ImageDistance distance = lpips_distance(*lpips, target);
  EXPECT_NEAR(distance(target).item<double>(), 0, 1e-6);
  Projection projection(*g, sample_cloud(*g, at::zeros({1, 0})), distance, {.steps = 20});
  const double first = projection.step().item<double>();
  double last = first;
  for (int k = 1; k < 20; ++k) last = projection.step().item<double>();
  EXPECT_LT(last, 0.7 * first);
}

class Project : public ::testing::Test {
 protected:
  Outcome run(const std::string& options, int ranks = 1) {
    return run_program(
        ranks, "project --network=" + network_ + " --outdir=" + dir_.file("out") + " " + options);
  }
  io::Image image(const std::string& name) const {
    return io::decode_image(io::read_file(dir_.file(name)), name);
  }
  /// A picture by the network itself.
  std::string picture(const std::string& options, const std::string& name) {
    const Outcome o = run_program(1, "generate --force --network=" + network_ +
                                         " --outdir=" + dir_.file("made") + " " + options);
    EXPECT_EQ(o.code, 0) << o.err;
    return dir_.file("made/" + name);
  }

  TempDir dir_;
  std::string network_ = write_tiny_network(dir_.file("n.h5"));
};

TEST_F(Project, WhatItWritesShowsTheTarget) {
  const std::string target = picture("--seeds=7", "seed0007.png");
  const Outcome o = run("--num-steps=100 --video --target=" + target);
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.err, "");
  EXPECT_EQ(image("out/target.png").pixels, image("made/seed0007.png").pixels);
  std::smatch distances;
  ASSERT_TRUE(std::regex_search(
      o.out, distances, std::regex("distance (.+) from the average image, (.+) from the proj")));
  EXPECT_LT(std::stod(distances[2]), std::stod(distances[1]) / 10);
  const Video video = read_video(dir_.file("out/proj.mp4"));
  ASSERT_EQ(video.frames.size(), 100u);
  EXPECT_EQ(video.frames[0].shape(), (io::ImageShape{32, 16, 3}));
  const at::Tensor w = io::read_npz(dir_.file("out/projected_w.npz"), "w");
  EXPECT_EQ(w.sizes(), at::IntArrayRef({1, 7, 16}));
  // Published programs, too, keep latents in this form.
  const std::string shown =
      picture("--projected-w=" + dir_.file("out/projected_w.npz"), "proj00.png");
  EXPECT_EQ(io::decode_image(io::read_file(shown), "shown").pixels, image("out/proj.png").pixels);
}

TEST_F(Project, RanksShareTheTargets) {
  picture("--seeds=1,2 --size=20x30", "");
  const Outcome o = run("--num-steps=3 --target=" + dir_.file("made/seed0001.png") + "," +
                            dir_.file("made/seed0002.png"),
                        2);
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("seed0002.png: 20x30 pixels, centre-cropped, resized to 16x16"));
  for (const char* name : {"out/seed0001/projected_w.npz", "out/seed0002/proj.png"})
    EXPECT_TRUE(fs::exists(dir_.file(name))) << name;
}

TEST_F(Project, WrongInputIsToldInOneLine) {
  const auto complaint = [&](const std::string& options) {
    const Outcome o = run(options, 2);
    EXPECT_EQ(o.code, 2) << o.out;
    EXPECT_EQ(o.complaints(), 1) << o.err;
    EXPECT_FALSE(fs::exists(dir_.file("out")));
    return o.complaint();
  };
  EXPECT_THAT(complaint("--target=" + dir_.file("none.png")), HasSubstr("none.png: "));
  EXPECT_THAT(complaint("--target=a/x.png,b/x.png"), HasSubstr("same folder"));
  const std::string target = picture("--seeds=1", "seed0001.png");
  EXPECT_THAT(complaint("--detector=" + network_ + " --target=" + target), HasSubstr("n.h5"));
}

}  // namespace
}  // namespace galette::testing
