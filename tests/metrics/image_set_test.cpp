// SPDX-License-Identifier: Apache-2.0
#include "metrics/image_set.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/image_codec.h"
#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"

namespace galette {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

class ImageFolder : public ::testing::Test {
 protected:
  void write(const std::string& name, int width, int channels, uint8_t value) const {
    io::Image image(width, 5, channels);
    image.pixels.assign(image.pixels.size(), value);
    io::write_png(dir_.file(name), image);
  }
  testing::TempDir dir_;
};

TEST_F(ImageFolder, GreyAndColouredImagesOfOneSize) {
  write("b.png", 7, 1, 9);
  write("a.png", 7, 3, 200);
  const auto set = open_image_set(dir_.path());
  EXPECT_EQ(set->count(), 2);
  const at::Tensor images = set->images({1, 0});
  ASSERT_EQ(images.sizes(), at::IntArrayRef({2, 3, 5, 7}));
  EXPECT_TRUE(images[0].eq(9).all().item<bool>());
  EXPECT_TRUE(images[1].eq(200).all().item<bool>());
}

TEST_F(ImageFolder, WhatIsNoSetIsRefused) {
  EXPECT_THAT(error_of([&] { open_image_set(dir_.file("none")); }), HasSubstr("No such file"));
  EXPECT_THAT(error_of([&] { open_image_set(dir_.path()); }), HasSubstr(dir_.path()));
  write("a.png", 7, 3, 200);
  write("b.png", 6, 3, 200);
  const auto set = open_image_set(dir_.path());
  EXPECT_THAT(error_of([&] { set->images({1}); }),
              HasSubstr("b.png: the image is 6x5, but the first one, a.png, is 7x5"));
  std::ofstream(dir_.file("b.png")) << "\x89PNG";
  EXPECT_THAT(error_of([&] { open_image_set(dir_.path())->images({0, 1}); }), HasSubstr("b.png: "));
  std::ofstream(dir_.file("x.h5")) << "\x89HDF\r\n\x1a\n";
  EXPECT_THAT(error_of([&] { open_image_set(dir_.file("x.h5")); }), HasSubstr("x.h5: "));
}

}  // namespace
}  // namespace galette
