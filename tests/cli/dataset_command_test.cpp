// SPDX-License-Identifier: Apache-2.0
// `galette dataset` as users start it: what it makes, and one clear line when it cannot.
#include <algorithm>
#include <filesystem>
#include <numeric>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/dataset_file.h"
#include "io/file_util.h"
#include "io/png_codec.h"
#include "tests/cli/program.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A folder of twenty images of 16x16.
class DatasetCommand : public ::testing::Test {
 protected:
  DatasetCommand() {
    fs::create_directory(source_);
    for (int i = 0; i < 20; ++i) write_image(i, 16);
  }
  void write_image(int number, int size) {
    io::Image image(size, size, 3);
    for (size_t k = 0; k < image.pixels.size(); ++k) image.pixels[k] = uint8_t(k * 3 + number);
    io::write_png(fmt::format("{}/{:02d}.png", source_, number), image);
  }
  Outcome run(const std::string& more, int ranks = 2) {
    return run_program(ranks,
                       fmt::format("dataset --source={} --dest={} {}", source_, dest_, more));
  }
  void expect_refusal(const std::string& more, const std::string& complaint, int ranks) {
    const Outcome o = run(more, ranks);
    EXPECT_EQ(o.code, 2) << o.err;
    EXPECT_THAT(o.complaint(), HasSubstr(complaint));
    EXPECT_EQ(o.complaints(), 1) << o.err;
    EXPECT_FALSE(fs::exists(dest_));
    EXPECT_FALSE(fs::exists(dest_ + ".tmp"));
  }

  TempDir dir_;
  std::string source_ = dir_.file("set");
  std::string dest_ = dir_.file("set.h5");
};

TEST_F(DatasetCommand, PacksAndTellsTheCounts) {
  const Outcome o = run("--resolution=8 --max-images=12 --name=dozen");
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("12 images of 8x8 with 3 channels, no labels"));
  EXPECT_THAT(o.out, HasSubstr("12 images read, 0 dropped"));
  EXPECT_EQ(o.err, "") << "a progress bar is for terminals only";
  const io::Dataset data = io::Dataset::open(dest_);
  EXPECT_EQ(data.info().name, "dozen");
  EXPECT_EQ(data.info().resolution, 8);
  data.verify();
}

TEST_F(DatasetCommand, RefusesBadOptions) {
  expect_refusal("--resolution=12", "--resolution=12x12: width and height must be the same power",
                 2);
  expect_refusal("--resolution=big", "--resolution=big: not a size; use N or WxH", 1);
  expect_refusal("--transform=center-crop", "--transform=center-crop: also needs --resolution", 1);
  expect_refusal("--transform=crop", "--transform", 1);
  expect_refusal("--background=red", "--background=red: not a colour", 1);
  expect_refusal("--max-images=0", "--max-images", 1);
}

TEST_F(DatasetCommand, RefusesBadImages) {
  write_image(13, 32);
  expect_refusal("", "set/13.png: the image is 32x32 with 3 channels, but the first one", 2);
  io::write_file(source_ + "/13.png", std::vector<uint8_t>(100, 7));
  expect_refusal("", "set/13.png: neither PNG nor JPEG", 2);
  source_ = dir_.file("nowhere");
  expect_refusal("", "nowhere: there is no such file or folder", 1);
}

TEST_F(DatasetCommand, KeepsAnExistingFileUnlessTold) {
  ASSERT_EQ(run("", 1).code, 0);
  const Outcome refused = run("--max-images=3");
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.complaint(), HasSubstr("set.h5: exists already"));
  EXPECT_EQ(io::Dataset::open(dest_).size(), 20);
  EXPECT_EQ(run("--max-images=3 --overwrite").code, 0);
  EXPECT_EQ(io::Dataset::open(dest_).size(), 3);
}

TEST_F(DatasetCommand, PacksFashionMnistWithItsLabels) {
  source_ = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";
  if (!fs::exists(source_)) GTEST_SKIP() << "NOT TESTED: the package dataset-fashion-mnist lacks";
  const Outcome o = run("--resolution=32x32", 1);
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("10000 images of 32x32 with 1 channel, with labels"));
  const io::Dataset data = io::Dataset::open(dest_);
  ASSERT_EQ(data.info().label_kind, io::LabelKind::classes);
  EXPECT_EQ(data.label_dim(), 10);
  std::vector<int64_t> all(10000);
  std::iota(all.begin(), all.end(), 0);
  // The set has a thousand images of each class; the first shows an ankle boot, class 9.
  EXPECT_TRUE(data.labels(all).sum(0).eq(1000).all().item<bool>());
  EXPECT_EQ(data.label(0)[9].item<float>(), 1);
  const at::Tensor boot = data.images({0});
  EXPECT_EQ(boot.narrow(2, 0, 2).max().item<uint8_t>(), 0) << "the margin";
  EXPECT_GT(boot.max().item<uint8_t>(), 200);
}

}  // namespace
}  // namespace galette::testing
