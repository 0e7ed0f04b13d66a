// SPDX-License-Identifier: Apache-2.0
// Pictures written row by row read back as they were, and are whole or not there.
#include "io/picture_writer.h"

#include <filesystem>

#include "tests/io/image_files.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

using namespace testing;
using galette::testing::TempDir;
using ::testing::HasSubstr;

at::Tensor sample_rows(const PictureLayout& layout, int maximum) {
  const int64_t count = layout.height * layout.width * layout.channels;
  return (at::arange(count, at::kInt) * 37)
      .remainder(maximum + 1)
      .view({layout.height, layout.width, layout.channels});
}

void write_in_two_parts(const std::string& path, PictureFormat format, const PictureLayout& layout,
                        const at::Tensor& rows) {
  const auto writer = open_picture(path, format, layout);
  writer->write(rows.narrow(0, 0, 2));
  writer->write(rows.narrow(0, 2, layout.height - 2));
  EXPECT_FALSE(std::filesystem::exists(path));
  writer->finish();
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST(PictureWriter, PngOfEveryChannelCountIsExact) {
  const TempDir dir;
  for (int64_t channels = 1; channels <= 4; ++channels) {
    const PictureLayout layout{7, 5, channels};
    const at::Tensor rows = sample_rows(layout, 255);
    write_in_two_parts(dir.file("p.png"), PictureFormat::png8, layout, rows);
    const Image image = decode_image(read_file(dir.file("p.png")), "p");
    ASSERT_EQ(image.shape(), (ImageShape{7, 5, int(channels)}));
    const at::Tensor bytes = rows.to(at::kByte);
    EXPECT_TRUE(
        std::equal(image.pixels.begin(), image.pixels.end(), bytes.const_data_ptr<uint8_t>()));
    std::filesystem::remove(dir.file("p.png"));
  }
}

TEST(PictureWriter, Png16HasTheHighByteFirst) {
  if (std::system("python3 -c 'import zlib'") != 0) GTEST_SKIP() << "NOT TESTED: no python3";
  const TempDir dir;
  const PictureLayout layout{300, 4, 3};
  const at::Tensor rows = sample_rows(layout, 65535);
  write_in_two_parts(dir.file("p.png"), PictureFormat::png16, layout, rows);
  EXPECT_THAT(input_error([&] { decode_image(read_file(dir.file("p.png")), "p"); }),
              HasSubstr("16 bits per channel"));
  // Undoes the row filters and prints all samples: an independent reader.
  const std::string script = R"(
import struct, sys, zlib
data = open(sys.argv[1], "rb").read()[8:]
body = b""
while data:
    size, kind = struct.unpack(">I4s", data[:8])
    if kind == b"IHDR": width, height, bits, color = struct.unpack(">IIBB", data[8:18])
    if kind == b"IDAT": body += data[8:8 + size]
    data = data[12 + size:]
assert (bits, color) == (16, 2)
raw, step, stride = zlib.decompress(body), 6, width * 6
above = bytes(stride)
for y in range(height):
    kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
    for i in range(stride):
        a = line[i - step] if i >= step else 0
        b, c = above[i], above[i - step] if i >= step else 0
        p = a + b - c
        paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        line[i] = (line[i] + (0, a, b, (a + b) // 2, paeth)[kind]) & 255
    above = bytes(line)
    print(*struct.unpack(">%dH" % (stride // 2), above))
)";
  write_file(dir.file("read.py"), to_bytes(script));
  const std::string command =
      "python3 " + dir.file("read.py") + " " + dir.file("p.png") + " > " + dir.file("out");
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::ifstream out(dir.file("out"));
  const int32_t* expected = rows.const_data_ptr<int32_t>();
  for (int64_t i = 0; i < rows.numel(); ++i) {
    int32_t value = -1;
    out >> value;
    ASSERT_EQ(value, expected[i]) << i;
  }
}

TEST(PictureWriter, JpegIsClose) {
  const TempDir dir;
  for (const int64_t channels : {1, 3}) {
    const PictureLayout layout{32, 16, channels};
    // A smooth picture: quality 95 errs by a few levels in it.
    const at::Tensor rows =
        (at::arange(32, at::kInt) * 7).view({1, 32, 1}).expand({16, 32, channels}).contiguous();
    write_in_two_parts(dir.file("p.jpg"), PictureFormat::jpeg, layout, rows);
    const Image image = decode_image(read_file(dir.file("p.jpg")), "p");
    ASSERT_EQ(image.shape(), (ImageShape{32, 16, int(channels)}));
    for (int x = 0; x < 32; ++x) EXPECT_NEAR(image.row(3)[x * channels], 7 * x, 6);
    std::filesystem::remove(dir.file("p.jpg"));
  }
}

TEST(PictureWriter, AnUnfinishedPictureLeavesTheOldOne) {
  const TempDir dir;
  write_file(dir.file("p.png"), to_bytes("old"));
  for (const PictureFormat format : {PictureFormat::png8, PictureFormat::jpeg}) {
    open_picture(dir.file("p.png"), format, {7, 5, 3})->write(sample_rows({7, 5, 3}, 255));
    EXPECT_EQ(read_file(dir.file("p.png")), to_bytes("old"));
    EXPECT_FALSE(std::filesystem::exists(dir.file("p.png.tmp")));
  }
}

TEST(PictureWriter, WhatCannotBeWrittenIsSaid) {
  const TempDir dir;
  const auto refusal = [&](const std::string& name, PictureFormat format, PictureLayout layout) {
    return input_error([&] { open_picture(dir.file(name), format, layout); });
  };
  EXPECT_THAT(refusal("a.jpg", PictureFormat::jpeg, {4, 4, 4}), HasSubstr("1 or 3 channels"));
  EXPECT_THAT(refusal("a.jpg", PictureFormat::jpeg, {70000, 4, 3}), HasSubstr("70000x4"));
  EXPECT_THAT(refusal("a.png", PictureFormat::png8, {4, 4, 5}), HasSubstr("1 to 4 channels"));
  EXPECT_THAT(refusal("no/a.png", PictureFormat::png8, {4, 4, 3}), HasSubstr("No such file"));
  if (!std::filesystem::exists("/dev/full")) return;
  std::filesystem::create_symlink("/dev/full", dir.file("full.png.tmp"));
  const auto writer = open_picture(dir.file("full.png"), PictureFormat::png8, {4, 1, 1});
  writer->write(sample_rows({4, 1, 1}, 255));
  EXPECT_THROW(writer->finish(), std::runtime_error);
  EXPECT_FALSE(std::filesystem::exists(dir.file("full.png")));
}

}  // namespace
}  // namespace galette::io
