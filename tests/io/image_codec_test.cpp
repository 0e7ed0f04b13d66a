// SPDX-License-Identifier: Apache-2.0
#include "io/image_codec.h"

#include "tests/io/image_files.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

using namespace testing;
using galette::testing::TempDir;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Bytes from_hex(const std::string& hex) {
  Bytes bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

const std::string kSignature = "89504e470d0a1a0a0000000d49484452";
const std::string kEnd = "0000000049454e44ae426082";

/// A PNG from another encoder: what follows the common start, up to the common end.
Image decode_hex(const std::string& middle) {
  return decode_image(from_hex(kSignature + middle + kEnd), "test.png");
}

TEST(Png, RoundTrip) {
  const TempDir dir;
  for (const int channels : {1, 3}) {
    const Image image = sample_image(13, 7, channels);
    write_png(dir.file("a.png"), image);
    EXPECT_FALSE(std::filesystem::exists(dir.file("a.png.tmp")));
    const Image back = decode_image(read_file(dir.file("a.png")), "a.png");
    EXPECT_EQ(back.shape(), image.shape());
    EXPECT_EQ(back.pixels, image.pixels);
  }
}

TEST(Png, PaletteBecomesRgb) {
  const Image image = decode_hex(
      "000000020000000202030000000fd8e5b700000009504c54450a141e28323c46505a16ac84740000000c49444154"
      "789c63106098000000c400a1165cba96");
  EXPECT_EQ(image.channels, 3);
  EXPECT_THAT(image.pixels, ElementsAre(10, 20, 30, 40, 50, 60, 70, 80, 90, 40, 50, 60));
}

TEST(Png, TransparentPaletteBecomesRgbWithAlpha) {
  const Image image = decode_hex(
      "000000020000000202030000000fd8e5b700000009504c54450a141e28323c46505a16ac84740000000374524e53"
      "ff0080a95673130000000c49444154789c63106098000000c400a1165cba96");
  EXPECT_EQ(image.channels, 4);
  EXPECT_THAT(image.pixels,
              ElementsAre(10, 20, 30, 255, 40, 50, 60, 0, 70, 80, 90, 128, 40, 50, 60, 0));
}

TEST(Png, OneBitBecomesEight) {
  const Image image = decode_hex(
      "00000002000000020100000000"
      "5acd30890000000c49444154789c6370607200000108008318868bce");
  EXPECT_EQ(image.channels, 1);
  EXPECT_THAT(image.pixels, ElementsAre(0, 255, 255, 0));
}

TEST(Png, AlphaIsKept) {
  const Image grey = decode_hex(
      "000000020000000108040000005e2bb7010000000d49444154789c633cf17f4e230007e002e65eb75c8e");
  EXPECT_EQ(grey.channels, 2);
  EXPECT_THAT(grey.pixels, ElementsAre(200, 255, 100, 128));
  const Image color = decode_hex(
      "000000020000000108060000"
      "00f4227f8a0000001149444154789c63389162f49f4b448e01000fcc029a215331bc");
  EXPECT_EQ(color.channels, 4);
  EXPECT_THAT(color.pixels, ElementsAre(200, 100, 50, 255, 10, 20, 30, 0));
}

TEST(Png, Interlaced) {
  const Image image = decode_hex(
      "000000020000000208020000018ad3aae50000001749444154789c63606462666061656360e7e0e4e2e601000196"
      "004f90b4ab70");
  EXPECT_THAT(image.pixels, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
}

TEST(Png, GammaIsIgnored) {
  const Image image = decode_hex(
      "000000010000000108000000003a7e9b550000000467414d41000186a031e8965f0000000a49444154789c636800"
      "000082008177cd72b6");
  EXPECT_THAT(image.pixels, ElementsAre(128));
}

TEST(Png, SixteenBitsAreRefused) {
  const std::string message = input_error([] {
    decode_hex(
        "000000020000000110000000"
        "0081d9fc150000000d49444154789c636060fcff1f0003050200615daf9f");
  });
  EXPECT_THAT(message, HasSubstr("test.png"));
  EXPECT_THAT(message, HasSubstr("16 bits"));
}

/// Decodes and expects one line that opens with the name, and nothing printed.
void expect_refused(const Bytes& bytes) {
  ::testing::internal::CaptureStderr();
  const std::string message = input_error([&] { decode_image(bytes, "folder/broken.img"); });
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(message.rfind("folder/broken.img: ", 0), 0u) << message;
}

TEST(Png, EveryCutIsAnError) {
  const Bytes whole = encode_png(sample_image(9, 9, 3));
  for (size_t size = 0; size < whole.size(); ++size) {
    expect_refused(Bytes(whole.begin(), whole.begin() + ptrdiff_t(size)));
  }
}

TEST(Png, DamagedPixelsAreAnError) {
  Bytes bytes = encode_png(sample_image(64, 64, 3));
  bytes[bytes.size() / 2] ^= 0x10;
  expect_refused(bytes);
}

// Headers of 2^30 x 2^30 and 2^17 x 2^17 grey pixels, and the start of the pixels.
TEST(Png, AbsurdSizesAreAnErrorBeforeMemoryIsTaken) {
  const std::string pixels = "0000000249444154789c62a4912b";
  expect_refused(from_hex(kSignature + "400000004000000008000000007dffb162" + pixels + kEnd));
  expect_refused(from_hex(kSignature + "00020000000200000800000000b0feba2c" + pixels + kEnd));
}

TEST(Jpeg, RgbAndGrey) {
  // A flat colour at the best quality: what remains is the rounding of the colour conversion.
  Image rgb(16, 16, 3);
  for (size_t i = 0; i < rgb.pixels.size(); ++i) rgb.pixels[i] = uint8_t(60 + 50 * (i % 3));
  const Image back = decode_image(encode_jpeg(rgb, JCS_RGB, JCS_YCbCr), "a.jpg");
  ASSERT_EQ(back.shape(), rgb.shape());
  for (size_t i = 0; i < rgb.pixels.size(); ++i) EXPECT_NEAR(back.pixels[i], rgb.pixels[i], 2);

  Image grey(9, 5, 1);
  std::fill(grey.pixels.begin(), grey.pixels.end(), uint8_t{77});
  const Image grey_back = decode_image(encode_jpeg(grey, JCS_GRAYSCALE, JCS_GRAYSCALE), "b.jpg");
  ASSERT_EQ(grey_back.shape(), grey.shape());
  EXPECT_THAT(grey_back.pixels, Each(77));
}

/// Inks as Adobe's files hold them, where 255 is none: red 240, green 120, blue 60, black 128.
TEST(Jpeg, InksBecomeRgb) {
  Image inks(16, 16, 4);
  const std::array<uint8_t, 4> ink{240, 120, 60, 128};
  for (size_t i = 0; i < inks.pixels.size(); ++i) inks.pixels[i] = ink[i % 4];
  for (const J_COLOR_SPACE stored : {JCS_CMYK, JCS_YCCK}) {
    const Image rgb = decode_image(encode_jpeg(inks, JCS_CMYK, stored), "a.jpg");
    ASSERT_EQ(rgb.shape(), (ImageShape{16, 16, 3}));
    EXPECT_NEAR(rgb.pixels[0], 240 * 128 / 255.0, 2);
    EXPECT_NEAR(rgb.pixels[1], 120 * 128 / 255.0, 2);
    EXPECT_NEAR(rgb.pixels[2], 60 * 128 / 255.0, 2);
  }
}

TEST(Jpeg, EveryCutIsAnError) {
  const Bytes whole = encode_jpeg(sample_image(17, 9, 3), JCS_RGB, JCS_YCbCr);
  // Without its last two bytes, the end marker, no pixel is missing.
  for (size_t size = 0; size + 2 < whole.size(); ++size) {
    expect_refused(Bytes(whole.begin(), whole.begin() + ptrdiff_t(size)));
  }
}

TEST(ImageCodec, ExtentNeedsOnlyTheHeader) {
  Bytes png = encode_png(sample_image(13, 7, 3));
  png.resize(60);
  EXPECT_EQ(image_extent(png, "a.png").width, 13);
  EXPECT_EQ(image_extent(png, "a.png").height, 7);
  Bytes jpeg = encode_jpeg(sample_image(21, 34, 3), JCS_RGB, JCS_YCbCr);
  EXPECT_EQ(image_extent(jpeg, "a.jpg").width, 21);
  EXPECT_EQ(image_extent(jpeg, "a.jpg").height, 34);
}

TEST(ImageCodec, OtherFormatsAreNamedAsSuch) {
  const std::string message = input_error([] { decode_image(to_bytes("BM......"), "a.bmp"); });
  EXPECT_THAT(message, HasSubstr("a.bmp: neither PNG nor JPEG"));
}

TEST(ImageCodec, UnwritablePlace) {
  const std::string path = "/proc/galette/a.png";
  EXPECT_THAT(input_error([&] { write_png(path, sample_image(2, 2, 1)); }), HasSubstr(path));
}

TEST(Composite, LaysOverTheBackground) {
  Image rgba(3, 1, 4);
  rgba.pixels = {200, 100, 50, 255, 200, 100, 50, 0, 200, 100, 50, 51};
  const Image rgb = composite(rgba, {10, 20, 30});
  // 51 is a fifth of 255: 200/5 + 10*4/5 = 48, 100/5 + 20*4/5 = 36, 50/5 + 30*4/5 = 34.
  EXPECT_THAT(rgb.pixels, ElementsAre(200, 100, 50, 10, 20, 30, 48, 36, 34));
  Image grey(1, 1, 2);
  grey.pixels = {100, 51};
  EXPECT_THAT(composite(grey, {255, 255, 255}).pixels, ElementsAre(224));
  EXPECT_THAT(composite(grey, {0, 0, 255}).pixels, ElementsAre(20, 20, 224));
}

}  // namespace
}  // namespace galette::io
