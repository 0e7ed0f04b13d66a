// SPDX-License-Identifier: Apache-2.0
#include "io/dataset_packer.h"

#include <cmath>

#include "io/checksum.h"
#include "io/dataset_file.h"
#include "io/hdf5.h"
#include "io/together.h"
#include "tests/io/image_files.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

using namespace testing;
using galette::testing::TempDir;
using ::testing::HasSubstr;

const MPI_Comm kWorld = MPI_COMM_WORLD;

std::string numbered(int i) {
  return fmt::format("img{:03d}.png", i);
}

/// Packs a folder of images that rank 0 writes, on all ranks.
class PackRanks : public ::testing::Test {
 protected:
  PackRanks() {
    options_.source = dir_.file("set");
    options_.dest = dir_.file("out.h5");
  }
  void write(const std::map<std::string, Bytes>& files) {
    if (comm_rank(kWorld) == 0) write_files(options_.source, files);
    MPI_Barrier(kWorld);
  }
  /// `count` images of 8x8, told apart by their seed.
  void write_images(int count) {
    std::map<std::string, Bytes> files;
    for (int i = 0; i < count; ++i) files[numbered(i)] = encode_png(sample_image(8, 8, 3, i));
    write(files);
  }
  PackReport pack() {
    return pack_dataset(options_, kWorld, [](int64_t, int64_t) {});
  }
  /// All ranks fail with one message, and leave neither the file nor a part of it.
  void expect_failure(const std::string& part) {
    EXPECT_THAT(input_error([&] { pack(); }), HasSubstr(part));
    MPI_Barrier(kWorld);
    EXPECT_FALSE(std::filesystem::exists(options_.dest));
    EXPECT_FALSE(std::filesystem::exists(options_.dest + ".tmp"));
  }

  TempDir dir_{kWorld};
  PackOptions options_;
};

TEST_F(PackRanks, EveryImageIsAtItsPlace) {
  write_images(23);
  int64_t seen = 0;
  const PackReport report = pack_dataset(options_, kWorld, [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 23);
    EXPECT_GT(done, seen);
    seen = done;
  });
  EXPECT_EQ(seen, 23);
  EXPECT_EQ(report.images_packed, 23);
  const Dataset data = Dataset::open(options_.dest);
  EXPECT_EQ(data.info().name, "out");
  EXPECT_EQ(data.size(), 23);
  Bytes expected(3 * 8 * 8);
  for (int i = 0; i < 23; ++i) {
    to_planes(sample_image(8, 8, 3, i), expected.data());
    Bytes found(expected.size());
    data.read(i, found.data());
    EXPECT_EQ(found, expected) << i;
  }
  data.verify();
}

TEST_F(PackRanks, NamesChecksumsAndStatistics) {
  write_images(7);
  options_.name = "seven";
  pack();
  const H5File file = H5File::open(options_.dest);
  EXPECT_EQ(file.string_attribute("/", "name"), "seven");
  EXPECT_EQ(file.string_attribute("/", "source_name"), "set");
  EXPECT_EQ(file.raw_offset("images") % 8, 0);
  const at::Tensor images = file.read("images"), sums = file.read("checksums");
  for (int64_t i = 0; i < 7; ++i)
    EXPECT_EQ(sums[i].item<int64_t>(), int64_t{crc32c(images[i].const_data_ptr(), 192)});
  const at::Tensor bytes = file.read("names/bytes"), offsets = file.read("names/offsets");
  const auto* text = reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>());
  EXPECT_EQ(std::string(text + offsets[2].item<int64_t>(), text + offsets[3].item<int64_t>()),
            numbered(2));
  // Two orders of summing 448 doubles: equal to a few units in the last place.
  const at::Tensor values = images.to(at::kDouble);
  EXPECT_TRUE(at::allclose(file.read("stats/mean"), values.mean({0, 2, 3}), 1e-12));
  EXPECT_TRUE(at::allclose(file.read("stats/std"), values.std({0, 2, 3}, false), 1e-12));
  EXPECT_NEAR(file.double_attribute("stats", "mean"), values.mean().item<double>(), 1e-10);
  EXPECT_NEAR(file.double_attribute("stats", "std"), values.std(false).item<double>(), 1e-10);
}

TEST_F(PackRanks, LargeSetsStartAtAMebibyte) {
  std::map<std::string, Bytes> files;
  for (int i = 0; i < 6; ++i) files[numbered(i)] = encode_png(sample_image(256, 256, 3, i));
  write(files);
  pack();
  EXPECT_EQ(H5File::open(options_.dest).raw_offset("images") % (1 << 20), 0);
  Dataset::open(options_.dest).verify();
}

// The file does not depend on the number of ranks: the fingerprint covers pixels and labels.
TEST_F(PackRanks, TheSameOnOneRank) {
  write_images(11);
  pack();
  const TempDir own;
  PackOptions alone = options_;
  alone.dest = own.file("alone.h5");
  pack_dataset(alone, MPI_COMM_SELF, [](int64_t, int64_t) {});
  EXPECT_EQ(Dataset::open(alone.dest).info().fingerprint,
            Dataset::open(options_.dest).info().fingerprint);
}

TEST_F(PackRanks, LabelsOfEveryImage) {
  write_images(3);
  write({{"dataset.json", to_bytes(R"({"labels": [["img000.png", 2], ["img001.png", 0],
                                                  ["img002.png", 5], ["other.png", 9]]})")}});
  EXPECT_TRUE(pack().has_labels);
  const Dataset data = Dataset::open(options_.dest);
  EXPECT_EQ(data.info().label_kind, LabelKind::classes);
  EXPECT_EQ(data.label_dim(), 6);
  EXPECT_TRUE(at::equal(data.labels({2, 1}), at::eye(6).index_select(0, at::tensor({5, 0}))));
}

TEST_F(PackRanks, VectorLabels) {
  write_images(2);
  write({{"dataset.json",
          to_bytes(R"({"labels": [["img000.png", [1, 2, 3]], ["img001.png", [0.5, -1, 0]]]})")}});
  pack();
  const Dataset data = Dataset::open(options_.dest);
  EXPECT_EQ(data.info().label_kind, LabelKind::vectors);
  EXPECT_TRUE(at::equal(data.label(1), at::tensor({0.5f, -1.0f, 0.0f})));
}

TEST_F(PackRanks, OneImageWithoutLabelLeavesAllWithout) {
  write_images(3);
  write({{"dataset.json", to_bytes(R"({"labels": [["img000.png", 1], ["img002.png", 0]]})")}});
  const PackReport report = pack();
  EXPECT_FALSE(report.has_labels);
  EXPECT_EQ(report.images_unlabelled, 1);
  EXPECT_EQ(Dataset::open(options_.dest).info().label_kind, LabelKind::none);
}

TEST_F(PackRanks, MaxImagesAndTransform) {
  write_images(9);
  options_.max_images = 5;
  options_.transform = Transform::center_crop;
  options_.resolution = Resolution{4, 4};
  EXPECT_EQ(pack().images_read, 5);
  const Dataset data = Dataset::open(options_.dest);
  EXPECT_EQ(data.size(), 5);
  Bytes expected(3 * 4 * 4), found(3 * 4 * 4);
  to_planes(resize_lanczos(sample_image(8, 8, 3, 4), 4, 4), expected.data());
  data.read(4, found.data());
  EXPECT_EQ(found, expected);
}

TEST_F(PackRanks, WideCropDropsNarrowImages) {
  options_.transform = Transform::center_crop_wide;
  options_.resolution = Resolution{8, 6};
  write({{"a.png", encode_png(sample_image(4, 4, 3))},
         {"b.png", encode_png(sample_image(16, 12, 3))},
         {"c.png", encode_png(sample_image(5, 9, 3))},
         {"d.png", encode_png(sample_image(8, 9, 3))}});
  const PackReport report = pack();
  EXPECT_EQ(report.images_read, 4);
  EXPECT_EQ(report.images_dropped, 2);
  EXPECT_EQ(Dataset::open(options_.dest).size(), 2);
}

TEST_F(PackRanks, AllImagesDropped) {
  options_.transform = Transform::center_crop_wide;
  options_.resolution = Resolution{64, 48};
  write_images(3);
  expect_failure("all 3 images are narrower");
}

TEST_F(PackRanks, AnImageOfAnotherSize) {
  write_images(9);
  write({{numbered(7), encode_png(sample_image(16, 16, 3))}});
  expect_failure(
      "set/img007.png: the image is 16x16 with 3 channels, but the first one, "
      "img000.png, is 8x8 with 3 channels");
}

TEST_F(PackRanks, AnImageOfOtherChannels) {
  write_images(9);
  write({{numbered(8), encode_png(sample_image(8, 8, 1))}});
  expect_failure("img008.png: the image is 8x8 with 1 channel, but");
}

TEST_F(PackRanks, ACorruptImageStopsAllRanks) {
  write_images(9);
  Bytes cut = encode_png(sample_image(8, 8, 3));
  cut.resize(50);
  write({{numbered(5), cut}});
  expect_failure("set/img005.png: not a valid PNG image");
}

TEST_F(PackRanks, RanksThatSeeOtherFiles) {
  if (comm_size(kWorld) == 1) GTEST_SKIP() << "needs two ranks";
  write_images(3);
  write({{"own/a.png", encode_png(sample_image(8, 8, 3))}});
  if (comm_rank(kWorld) == 1) options_.source += "/own";
  EXPECT_THAT(input_error([&] { pack(); }), HasSubstr("rank 1 finds 1 images and rank 0 4"));
}

TEST_F(PackRanks, NotSquareOrNoPowerOfTwo) {
  write({{"a.png", encode_png(sample_image(16, 8, 3))}});
  expect_failure("set/a.png: the image is 16x8 with 3 channels, not square");
  write({{"a.png", encode_png(sample_image(12, 12, 3))}});
  expect_failure("the side must be a power of two");
}

TEST_F(PackRanks, BadResolutions) {
  write_images(1);
  for (const Resolution r :
       {Resolution{12, 12}, Resolution{8, 4}, Resolution{0, 0}, Resolution{-8, -8}}) {
    options_.resolution = r;
    expect_failure("--resolution=");
  }
  options_.resolution = std::nullopt;
  options_.transform = Transform::center_crop;
  expect_failure("--transform=center-crop: also needs --resolution");
}

TEST_F(PackRanks, AnExistingFileIsKept) {
  write_images(2);
  pack();
  EXPECT_THAT(input_error([&] { pack(); }), HasSubstr("exists already"));
  options_.overwrite = true;
  options_.max_images = 1;
  pack();
  EXPECT_EQ(Dataset::open(options_.dest).size(), 1);
  // A failure leaves the older file as it was.
  options_.source = dir_.file("missing");
  input_error([&] { pack(); });
  EXPECT_EQ(Dataset::open(options_.dest).size(), 1);
}

TEST_F(PackRanks, UnwritablePlace) {
  write_images(1);
  options_.dest = "/proc/out.h5";
  expect_failure("/proc/out.h5");
}

}  // namespace
}  // namespace galette::io
