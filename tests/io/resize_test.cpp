// SPDX-License-Identifier: Apache-2.0
// Expected values come from the Python Imaging Library (Pillow 13.0), Image.resize with LANCZOS, on
// sample_image(). Equality is exact: the 8-bit arithmetic is part of the definition.
#include "io/resize.h"

#include "io/checksum.h"
#include "tests/io/image_files.h"

namespace galette::io {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Resize, SmallPicturesEqualPillows) {
  EXPECT_THAT(resize_lanczos(sample_image(5, 4, 1), 3, 3).pixels,
              ElementsAre(20, 116, 130, 173, 143, 91, 88, 107, 199));
  EXPECT_THAT(resize_lanczos(sample_image(3, 4, 1), 6, 5).pixels,
              ElementsAre(0, 2, 19, 47, 61, 67, 47, 51, 69, 114, 154, 173, 162, 189, 223, 196, 128,
                          87, 125, 156, 196, 159, 73, 21, 1, 12, 38, 92, 131, 149));
}

TEST(Resize, AnAxisThatDoesNotChangeIsLeftAlone) {
  EXPECT_THAT(
      resize_lanczos(sample_image(7, 5, 3), 2, 5).pixels,
      ElementsAre(49, 113, 170, 173, 166, 142, 147, 154, 136, 89, 96, 131, 130, 118, 115, 149, 146,
                  134, 109, 145, 151, 152, 134, 140, 145, 139, 120, 158, 133, 114));
  EXPECT_THAT(resize_lanczos(sample_image(5, 7, 3), 5, 2).pixels,
              ElementsAre(83, 136, 122, 133, 116, 151, 109, 145, 133, 149, 126, 136, 119, 130, 183,
                          111, 164, 124, 105, 140, 123, 157, 139, 136, 96, 153, 83, 169, 99, 152));
  EXPECT_EQ(resize_lanczos(sample_image(5, 7, 3), 5, 7).pixels, sample_image(5, 7, 3).pixels);
}

TEST(Resize, LargePicturesEqualPillows) {
  struct Case {
    int width, height, channels, new_width, new_height;
    uint32_t crc;
  };
  for (const Case& c :
       {Case{136, 136, 3, 32, 32, 0xc5b3d8ca}, Case{200, 150, 3, 64, 64, 0x3c079e36},
        Case{33, 17, 1, 128, 128, 0xefb12261}, Case{640, 480, 3, 256, 256, 0x4db2284e},
        Case{16, 16, 3, 64, 16, 0xce59a61e}, Case{500, 3, 1, 8, 8, 0x6ca3586f}}) {
    const Image image =
        resize_lanczos(sample_image(c.width, c.height, c.channels), c.new_width, c.new_height);
    EXPECT_EQ(crc32c(image.pixels.data(), image.pixels.size()), c.crc)
        << c.width << "x" << c.height;
  }
}

/// Rows [top, top + rows), columns [left, left + columns).
Image cut(const Image& image, int left, int top, int columns, int rows) {
  Image result(columns, rows, image.channels);
  for (int y = 0; y < rows; ++y)
    for (int i = 0; i < columns * image.channels; ++i)
      result.row(y)[i] = image.row(top + y)[left * image.channels + i];
  return result;
}

TEST(Transform, NoneStretches) {
  const Image image = sample_image(12, 7, 3);
  EXPECT_EQ(apply_transform(Transform::none, {}, image).pixels, image.pixels);
  EXPECT_EQ(apply_transform(Transform::none, Resolution{8, 8}, image).pixels,
            resize_lanczos(image, 8, 8).pixels);
}

TEST(Transform, CenterCropTakesTheLargestSquare) {
  const Image wide = sample_image(12, 7, 3), high = sample_image(7, 12, 1);
  EXPECT_EQ(apply_transform(Transform::center_crop, Resolution{4, 4}, wide).pixels,
            resize_lanczos(cut(wide, 2, 0, 7, 7), 4, 4).pixels);
  EXPECT_EQ(apply_transform(Transform::center_crop, Resolution{4, 4}, high).pixels,
            resize_lanczos(cut(high, 0, 2, 7, 7), 4, 4).pixels);
}

// 40x30 with a target of 32x24: 24 rows of full width are stretched to 32x24, on a 32x32 square.
TEST(Transform, CenterCropWideFillsUpWithBlackRows) {
  const Image image = sample_image(40, 30, 3);
  const Image result = apply_transform(Transform::center_crop_wide, Resolution{32, 24}, image);
  ASSERT_EQ(result.shape(), (ImageShape{32, 32, 3}));
  EXPECT_EQ(cut(result, 0, 4, 32, 24).pixels,
            resize_lanczos(cut(image, 0, 3, 40, 24), 32, 24).pixels);
  EXPECT_EQ(cut(result, 0, 0, 32, 4).pixels, Image(32, 4, 3).pixels);
  EXPECT_EQ(cut(result, 0, 28, 32, 4).pixels, Image(32, 4, 3).pixels);
}

TEST(Transform, CenterCropWideDropsWhatItWouldEnlarge) {
  const Resolution target{32, 24};
  EXPECT_TRUE(transform_keeps(Transform::center_crop_wide, target, 40, 30));
  EXPECT_FALSE(transform_keeps(Transform::center_crop_wide, target, 31, 30));
  EXPECT_FALSE(transform_keeps(Transform::center_crop_wide, target, 40, 20));
  // 32 * 47 / 64 = 23.5 rounds to the even 24; 32 * 45 / 64 = 22.5 to 22.
  EXPECT_TRUE(transform_keeps(Transform::center_crop_wide, target, 64, 47));
  EXPECT_FALSE(transform_keeps(Transform::center_crop_wide, Resolution{32, 23}, 64, 45));
  EXPECT_TRUE(transform_keeps(Transform::center_crop, target, 2, 2));
}

TEST(Transform, Names) {
  for (const auto t : {Transform::none, Transform::center_crop, Transform::center_crop_wide})
    EXPECT_EQ(parse_transform(transform_name(t)), t);
  EXPECT_THAT(input_error([] { parse_transform("crop"); }), HasSubstr("--transform=crop"));
}

}  // namespace
}  // namespace galette::io
