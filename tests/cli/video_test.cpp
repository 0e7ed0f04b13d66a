// SPDX-License-Identifier: Apache-2.0
// `galette video`: paths and plans, and films that show what `galette generate` shows, the same on
// any number of ranks.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/loop_spline.h"
#include "cli/video_plan.h"
#include "io/file_util.h"
#include "io/image_codec.h"
#include "tests/cli/program.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/video_reader.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// SciPy's interp1d(kind="cubic") over five periods of values k -> (7 k^2 mod 11) / 3 - 1.
TEST(LoopSpline, EqualsTheReference) {
  struct Point {
    int64_t period;
    double x, value;
  };
  for (const Point& p : {Point{2, 0.25, -0.6318597560975606}, Point{2, 1.875, -0.8810658028455285},
                         Point{3, 0.25, -0.6821528805822847}, Point{3, 1.75, 1.4740971194177153},
                         Point{3, 2.875, -0.9782558829879102}, Point{7, 0.5, -0.07418698210006328},
                         Point{7, 6.875, -0.8641069698780142}}) {
    const at::Tensor k = at::arange(p.period, at::kDouble);
    const LoopSpline spline(((7 * k * k).fmod(11) / 3 - 1).unsqueeze(1));
    EXPECT_NEAR(spline.value_at(p.x).item<double>(), p.value, 1e-14) << p.period << " " << p.x;
    EXPECT_NEAR(spline.value_at(1).item<double>(), 4.0 / 3, 1e-14);
  }
}

TEST(LoopSpline, OneValueStays) {
  const LoopSpline spline(at::tensor({3.0, 4.0}).unsqueeze(0));
  EXPECT_TRUE(at::equal(spline.value_at(0.7), at::tensor({3.0, 4.0}, at::kDouble)));
}

TEST(VideoPlan, DealsSeedsToCells) {
  const VideoPlan plan = plan_video({{1, 2, 3, 4}, {}, {2, 1}, {}, 10});
  EXPECT_EQ(plan.frames(), 20);
  EXPECT_THAT(plan.cells, ElementsAre(ElementsAre(1, 2), ElementsAre(3, 4)));
  const VideoPlan longer = plan_video({{1, 2, 3}, {}, {1, 2}, 4, 1});
  EXPECT_THAT(longer.cells, ElementsAre(ElementsAre(1, 2, 3, 1), ElementsAre(2, 3, 1, 2)));
  // numpy.random.RandomState(7).shuffle(numpy.arange(8))
  const VideoPlan shuffled = plan_video({{0, 1, 2, 3, 4, 5, 6, 7}, 7, {1, 1}, {}, 1});
  EXPECT_THAT(shuffled.cells[0], ElementsAre(2, 5, 0, 6, 3, 1, 4, 7));
}

TEST(VideoPlan, RefusesWhatDoesNotFit) {
  EXPECT_THAT(error_of([] {
                plan_video({{1, 2, 3}, {}, {2, 1}, {}, 10});
              }),
              HasSubstr("--seeds: 3 of them are no multiple of the 2 cells"));
  EXPECT_THAT(error_of([] {
                plan_video({{1}, {}, {int64_t{1} << 40, int64_t{1} << 40}, 1, 1});
              }),
              HasSubstr("cells"));
  EXPECT_THAT(error_of([] {
                plan_video({{1}, {}, {100, 1}, 1'000'000, 1});
              }),
              HasSubstr("--num-keyframes=1000000"));
}

TEST(VideoPlan, ZoomKeepsItsPoint) {
  const Zoom zoom{9, {0.25, 1}};
  EXPECT_THAT(zoom.region(0), ElementsAre(0, 0, 1, 1));
  const auto [x0, y0, x1, y1] = zoom.region(0.5);
  EXPECT_NEAR(x1 - x0, 1.0 / 3, 1e-15);
  EXPECT_NEAR((0.25 - x0) / (x1 - x0), 0.25, 1e-15);
  EXPECT_NEAR(y1, 1, 1e-15);
}

class VideoProgram : public ::testing::Test {
 protected:
  Outcome run(const std::string& options, const std::string& output, int ranks = 1) {
    return run_program(
        ranks, "video --network=" + network_ + " --output=" + dir_.file(output) + " " + options);
  }
  Video film(const std::string& options, const std::string& output, int ranks = 1) {
    const Outcome o = run(options, output, ranks);
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_EQ(o.err, "");
    return read_video(dir_.file(output));
  }
  void expect_refusal(const std::string& options, const std::string& complaint, int ranks = 1) {
    const Outcome o = run(options, "refused.mp4", ranks);
    EXPECT_EQ(o.code, 2) << o.out;
    EXPECT_THAT(o.complaint(), HasSubstr(complaint));
    EXPECT_EQ(o.complaints(), 1) << o.err;
    EXPECT_FALSE(fs::exists(dir_.file("refused.mp4")));
  }
  io::Image picture(const std::string& options) {
    const Outcome o = run_program(1, "generate --force --network=" + network_ +
                                         " --outdir=" + dir_.file("pictures") + " " + options);
    EXPECT_EQ(o.code, 0) << o.err;
    for (const auto& file : fs::directory_iterator(dir_.file("pictures")))
      return io::decode_image(io::read_file(file.path()), "picture");
    return {};
  }

  TempDir dir_;
  std::string network_ = write_tiny_network(dir_.file("n.h5"));
};

// What 4:2:0 leaves of a picture of smooth noise is some 30 dB; another seed's has less than 15.
constexpr double kSamePicture = 25;

TEST_F(VideoProgram, RanksShareTheFramesAndChangeNothing) {
  const std::string options = "--seeds=1,2 --w-frames=12 --scale=2.5 --fps=30";
  const Video video = film(options, "one.mp4");
  ASSERT_EQ(video.frames.size(), 24u);
  EXPECT_DOUBLE_EQ(video.frames_per_second, 30);
  film(options, "two.mp4", 2);
  EXPECT_EQ(io::read_file(dir_.file("one.mp4")), io::read_file(dir_.file("two.mp4")));
  const io::Image first = picture("--seeds=1 --scale=2.5");
  ASSERT_EQ(first.shape(), (io::ImageShape{40, 40, 3}));
  EXPECT_GT(psnr(video.frames[0], first), kSamePicture);
  EXPECT_LT(psnr(video.frames[12], first), kSamePicture);
}

TEST_F(VideoProgram, ZoomsTowardsAPoint) {
  const Video video =
      film("--seeds=3 --w-frames=5 --scale=4 --zoom=4 --zoom-at=1,0", "zoom.mp4", 2);
  ASSERT_EQ(video.frames.size(), 5u);
  const io::Image last = picture("--seeds=3 --size=64x64 --region=0.75,0,1,0.25");
  EXPECT_GT(psnr(video.frames[4], last), kSamePicture);
  EXPECT_LT(psnr(video.frames[0], last), kSamePicture);
}

TEST_F(VideoProgram, GridsOfOtherNetworks) {
  write_tiny_network(network_, kStyleGan3, {{"img_channels", 1}, {"c_dim", 4}});
  const Video video = film("--seeds=0-5 --grid=3x2 --w-frames=2 --class=3", "grid.mp4");
  ASSERT_EQ(video.frames.size(), 2u);
  EXPECT_EQ(video.frames[0].shape(), (io::ImageShape{48, 32, 3}));
}

TEST_F(VideoProgram, WrongInputIsToldInOneLine) {
  expect_refusal("--seeds=1,2,3 --grid=2x1", "--seeds: 3 of them", 2);
  expect_refusal("--seeds=1 --zoom-at=2,0", "--zoom-at=2,0: lies outside");
  EXPECT_THAT(run("--seeds=1", "v.avi").complaint(), HasSubstr("v.avi: only MP4 is written"));
  io::write_file(dir_.file("v.mp4"), std::vector<uint8_t>{7});
  EXPECT_THAT(run("--seeds=1", "v.mp4").complaint(), HasSubstr("v.mp4: exists already"));
  EXPECT_EQ(io::read_file(dir_.file("v.mp4")).size(), 1u);
  EXPECT_EQ(run("--seeds=1 --w-frames=1 --force", "v.mp4").code, 0);
  EXPECT_EQ(read_video(dir_.file("v.mp4")).frames.size(), 1u);
}

}  // namespace
}  // namespace galette::testing
