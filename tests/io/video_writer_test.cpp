// SPDX-License-Identifier: Apache-2.0
// Videos, decoded again: frames, their order, colours, sizes, and what is refused.
#include "io/video_writer.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/file_util.h"
#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/video_reader.h"

namespace galette::testing {
namespace {

using ::testing::HasSubstr;

/// Smooth colours that tell frame, row and column apart.
io::Image make_frame(int width, int height, int number, int channels = 3) {
  io::Image image(width, height, channels);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.row(y)[x * channels + c] = static_cast<uint8_t>(c == 0   ? 40 + 10 * number
                                                              : c == 1 ? 30 + 180 * x / width
                                                                       : 220 - 180 * y / height);
  return image;
}

void write(const std::string& path, int width, int height, int frames, int channels = 3) {
  io::VideoWriter writer(path, {width, height, 25, 12});
  for (int k = 0; k < frames; ++k) writer.write(make_frame(width, height, k, channels));
  writer.finish();
}

TEST(VideoWriter, FramesComeBackInOrder) {
  const TempDir dir;
  const std::string path = dir.file("a:b.mp4");
  write(path, 64, 48, 12);
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
  const Video video = read_video("file:" + path);
  EXPECT_EQ(video.codec, "h264");
  EXPECT_DOUBLE_EQ(video.frames_per_second, 25);
  ASSERT_EQ(video.frames.size(), 12u);
  // Neighbouring frames differ by 10 in one channel, which is 33 dB; 8 bits of Y, Cb and Cr and
  // half the columns of colour leave more than 38.
  for (int k = 0; k < 12; ++k) EXPECT_GT(psnr(video.frames[k], make_frame(64, 48, k)), 38) << k;
}

TEST(VideoWriter, OddSidesGrowAndGreyStaysGrey) {
  const TempDir dir;
  write(dir.file("odd.mp4"), 33, 17, 3, 1);
  const Video video = read_video(dir.file("odd.mp4"));
  ASSERT_EQ(video.frames.size(), 3u);
  ASSERT_EQ(video.frames[0].shape(), (io::ImageShape{34, 18, 3}));
  for (int k = 0; k < 3; ++k) {
    for (const uint8_t value : video.frames[k].pixels) ASSERT_NEAR(value, 40 + 10 * k, 2);
  }
}

TEST(VideoWriter, SameFramesSameFile) {
  const TempDir dir;
  write(dir.file("1.mp4"), 32, 32, 40);
  write(dir.file("2.mp4"), 32, 32, 40);
  EXPECT_EQ(io::read_file(dir.file("1.mp4")), io::read_file(dir.file("2.mp4")));
}

TEST(VideoWriter, WithoutAnEndThereIsNoFile) {
  const TempDir dir;
  io::write_file(dir.file("v.mp4"), std::vector<uint8_t>{7});
  {
    io::VideoWriter writer(dir.file("v.mp4"), {16, 16});
    writer.write(make_frame(16, 16, 0));
  }
  EXPECT_EQ(io::read_file(dir.file("v.mp4")), std::vector<uint8_t>{7});
  EXPECT_FALSE(std::filesystem::exists(dir.file("v.mp4.tmp")));
}

TEST(VideoWriter, WhatCannotBeWrittenIsRefused) {
  const TempDir dir;
  EXPECT_THAT(error_of([&] {
                io::VideoWriter(dir.file("no/v.mp4"), {16, 16});
              }),
              HasSubstr("no/v.mp4: cannot be written: No such file"));
  EXPECT_THAT(error_of([&] {
                io::VideoWriter(dir.file("v.mp4"), {16386, 16});
              }),
              HasSubstr("16386x16 pixels; a video takes 1 to 16384"));
}

}  // namespace
}  // namespace galette::testing
