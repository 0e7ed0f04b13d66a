// SPDX-License-Identifier: Apache-2.0
// `galette generate` as users start it: the same pictures on any number of ranks, parts that equal
// the whole exactly, and one clear line for what is wrong.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/file_util.h"
#include "io/image_codec.h"
#include "tests/cli/program.h"
#include "tests/cli/tiny_networks.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Generate : public ::testing::Test {
 protected:
  Outcome run(const std::string& options, const std::string& outdir = "out", int ranks = 1) {
    return run_program(
        ranks, "generate --network=" + network_ + " --outdir=" + dir_.file(outdir) + " " + options);
  }
  void expect_done(const std::string& options, const std::string& outdir = "out", int ranks = 1) {
    const Outcome o = run(options, outdir, ranks);
    ASSERT_EQ(o.code, 0) << o.err;
    EXPECT_EQ(o.err, "");
  }
  void expect_refusal(const std::string& options, const std::string& complaint, int ranks = 1) {
    const Outcome o = run(options, "refused", ranks);
    EXPECT_EQ(o.code, 2) << o.out;
    EXPECT_THAT(o.complaint(), HasSubstr(complaint));
    EXPECT_EQ(o.complaints(), 1) << o.err;
    EXPECT_FALSE(fs::exists(dir_.file("refused")));
  }
  /// Bytes that the program held at most.
  int64_t peak_memory(const std::string& options, const std::string& outdir) {
    const Outcome o = run_mpirun("-n 1 python3 -I -S " GALETTE_TEST_DATA "/cli/peak_memory.py " +
                                 dir_.file("peak") + " @ generate --network=" + network_ +
                                 " --outdir=" + dir_.file(outdir) + " " + options);
    EXPECT_EQ(o.code, 0) << o.err;
    int64_t bytes = 0;
    std::ifstream(dir_.file("peak")) >> bytes;
    return bytes;
  }
  io::Image image(const std::string& name) const {
    return io::decode_image(io::read_file(dir_.file(name)), name);
  }
  static io::Image crop(const io::Image& whole, int left, int top, int width, int height) {
    io::Image part(width, height, whole.channels);
    for (int y = 0; y < height; ++y)
      std::copy_n(whole.row(top + y) + left * whole.channels, part.stride(), part.row(y));
    return part;
  }

  TempDir dir_;
  std::string network_ = write_tiny_network(dir_.file("n.h5"));
};

TEST_F(Generate, RanksShareTheSeedsAndChangeNothing) {
  expect_done("--seeds=1,7-9 --trunc=0.7", "one");
  expect_done("--seeds=1,7-9 --trunc=0.7", "three", 3);
  int files = 0;
  for (const auto& entry : fs::directory_iterator(dir_.file("one"))) {
    const std::string name = entry.path().filename().string();
    EXPECT_EQ(io::read_file(dir_.file("one/" + name)), io::read_file(dir_.file("three/" + name)));
    ++files;
  }
  EXPECT_EQ(files, 4);
  EXPECT_NE(image("one/seed0001.png").pixels, image("one/seed0007.png").pixels);
}

TEST_F(Generate, TilesAndRegionsEqualTheWholeExactly) {
  expect_done("--seeds=3 --scale=22.5", "whole");
  const io::Image whole = image("whole/seed0003.png");
  ASSERT_EQ(whole.shape(), (io::ImageShape{360, 360, 3}));
  expect_done("--seeds=3 --scale=22.5 --tile=300", "tiles");
  EXPECT_EQ(io::read_file(dir_.file("tiles/seed0003.png")),
            io::read_file(dir_.file("whole/seed0003.png")));
  // Pixels k/359 from 0.3 to 0.9 and from 0.2 to 0.8.
  expect_done("--seeds=3 --scale=22.5 --region=0.3,0.2,0.9,0.8", "part");
  EXPECT_EQ(image("part/seed0003.png").pixels, crop(whole, 108, 72, 216, 216).pixels);
}

// The whole picture takes 403 MB in float32 and 101 MB as bytes. Beyond what the program holds for
// an image of 16x16, which is its libraries, it needs four copies of a band of 256 rows (floats,
// the same scaled, integers by channel and by pixel), 3 MB each. So 50 MB suffice for rows that are
// written and forgotten, and for no form of the whole.
TEST_F(Generate, ManyRowsTakeTheMemoryOfAFew) {
  write_tiny_network(network_, kCreps, {{"biline_channels", 4}, {"rank", 1}});
  const int64_t few = peak_memory("--seeds=3", "small");
  const int64_t many = peak_memory("--seeds=3 --size=1024x32768", "big");
  EXPECT_GT(few, 50'000'000);
  EXPECT_LT(many - few, 50'000'000);
  EXPECT_EQ(image("small/seed0003.png").width, 16);
  const std::vector<uint8_t> file = io::read_file(dir_.file("big/seed0003.png"));
  const io::ImageExtent extent = io::image_extent(file, "seed0003.png");
  EXPECT_EQ(extent.width, 1024);
  EXPECT_EQ(extent.height, 32768);
}

TEST_F(Generate, SheetsHoldTheSingleImages) {
  expect_done("--seeds=1-5", "single");
  expect_done("--seeds=1-5 --grid=3x2", "grid", 2);
  const io::Image sheet = image("grid/grid0000.png");
  ASSERT_EQ(sheet.shape(), (io::ImageShape{48, 32, 3}));
  EXPECT_EQ(crop(sheet, 16, 16, 16, 16).pixels, image("single/seed0005.png").pixels);
  EXPECT_EQ(crop(sheet, 32, 16, 16, 16).pixels, io::Image(16, 16, 3).pixels);
  expect_done("--seeds=1,2 --style-mix=4,5 --mix-layers=0-100", "mix", 2);
  const io::Image mix = image("mix/mix.png");
  ASSERT_EQ(mix.shape(), (io::ImageShape{48, 48, 3}));
  EXPECT_EQ(crop(mix, 0, 16, 16, 16).pixels, image("single/seed0001.png").pixels);
  EXPECT_EQ(crop(mix, 32, 32, 16, 16).pixels, image("single/seed0005.png").pixels);
}

TEST_F(Generate, OtherSizesChannelsAndFormats) {
  write_tiny_network(network_, kCreps, {{"img_channels", 1}, {"c_dim", 4}});
  expect_done("--seeds=0 --class=3 --size=40x24", "grey");
  EXPECT_EQ(image("grey/seed0000.png").shape(), (io::ImageShape{40, 24, 1}));
  write_tiny_network(network_, kCreps, {{"img_channels", 4}});
  expect_done("--seeds=0,1 --interpolate=2", "rgba");
  EXPECT_EQ(image("rgba/frame000002.png").shape(), (io::ImageShape{16, 16, 4}));
  write_tiny_network(network_);
  expect_done("--seeds=0 --format=jpg", "jpg");
  EXPECT_EQ(image("jpg/seed0000.jpg").shape(), (io::ImageShape{16, 16, 3}));
}

TEST_F(Generate, KeepsWhatExistsUnlessForced) {
  expect_done("--seeds=2", "out");
  io::write_file(dir_.file("out/seed0001.png"), std::vector<uint8_t>{7});
  const Outcome o = run("--seeds=1", "out", 2);
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.complaint(), HasSubstr("seed0001.png: exists already"));
  EXPECT_EQ(io::read_file(dir_.file("out/seed0001.png")).size(), 1u);
  expect_done("--seeds=1 --force", "out");
  EXPECT_EQ(image("out/seed0001.png").width, 16);
}

TEST_F(Generate, WrongInputIsToldInOneLine) {
  expect_refusal("--seeds=,", "--seeds=,: '' is no number");
  expect_refusal("--seeds=1 --translate=0.1,0", "--translate: works with StyleGAN3", 2);
  expect_refusal("--seeds=1 --format=gif", "--format=gif");
  io::write_file(network_, std::vector<uint8_t>{0x80, 4, 0x95});
  expect_refusal("--seeds=1", "n.h5: is a Python pickle", 2);
  network_ = dir_.file("none.h5");
  expect_refusal("--seeds=1", "none.h5: No such file");
}

}  // namespace
}  // namespace galette::testing
