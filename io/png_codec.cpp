// SPDX-License-Identifier: Apache-2.0
// libpng reports errors by longjmp. So every function here that calls setjmp holds no object with a
// destructor; what must be freed lives in Reader or Writer, one frame further out.
#include "io/png_codec.h"

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include <fmt/format.h>
#include <png.h>

#include "io/check.h"

namespace galette::io {
namespace {

constexpr int64_t kMaxPixels = int64_t{1} << 28;

struct Reader {
  explicit Reader(std::span<const uint8_t> data) : bytes(data) {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }

  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const uint8_t> bytes;
  std::string message;
  int bit_depth = 0;
  int passes = 1;
};

void keep_message(png_structp png, png_const_charp text) {
  *static_cast<std::string*>(png_get_error_ptr(png)) = text;
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

void take_bytes(png_structp png, png_bytep out, size_t count) {
  auto& rest = *static_cast<std::span<const uint8_t>*>(png_get_io_ptr(png));
  if (count > rest.size()) png_error(png, "the file ends early");
  std::memcpy(out, rest.data(), count);
  rest = rest.subspan(count);
}

/// Reads up to the first pixel and arranges the conversions; false with a message on error.
bool read_header(Reader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_set_read_fn(reader.png, &reader.bytes, take_bytes);
  png_read_info(reader.png, reader.info);
  reader.bit_depth = png_get_bit_depth(reader.png, reader.info);
  png_set_expand(reader.png);
  reader.passes = png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  return true;
}

bool read_pixels(Reader& reader, uint8_t* pixels, int height, size_t stride) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  for (int pass = 0; pass < reader.passes; ++pass) {
    for (int y = 0; y < height; ++y) {
      png_read_row(reader.png, pixels + size_t(y) * stride, nullptr);
    }
  }
  png_read_end(reader.png, nullptr);
  return true;
}

[[noreturn]] void fail(const std::string& name, const std::string& why) {
  throw InputError(fmt::format("{}: not a valid PNG image: {}", name, why));
}

void open(Reader& reader, const std::string& name) {
  reader.png =
      png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader.message, keep_message, ignore_warning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) throw std::runtime_error("libpng cannot start: out of memory");
  if (!read_header(reader)) fail(name, reader.message);
}

struct Writer {
  Writer() = default;
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { png_destroy_write_struct(&png, &info); }

  png_structp png = nullptr;
  png_infop info = nullptr;
  std::vector<uint8_t> bytes;
  std::string message;
};

void put_bytes(png_structp png, png_bytep data, size_t count) {
  auto& bytes = *static_cast<std::vector<uint8_t>*>(png_get_io_ptr(png));
  bytes.insert(bytes.end(), data, data + count);
}

void ignore_flush(png_structp) {}

bool write_pixels(Writer& writer, const Image& image) {
  if (setjmp(png_jmpbuf(writer.png)) != 0) return false;
  png_set_write_fn(writer.png, &writer.bytes, put_bytes, ignore_flush);
  png_set_IHDR(writer.png, writer.info, png_uint_32(image.width), png_uint_32(image.height), 8,
               image.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(writer.png, writer.info);
  for (int y = 0; y < image.height; ++y) png_write_row(writer.png, image.row(y));
  png_write_end(writer.png, writer.info);
  return true;
}

}  // namespace

bool is_png(std::span<const uint8_t> bytes) {
  return bytes.size() >= 8 && png_sig_cmp(bytes.data(), 0, 8) == 0;
}

ImageExtent png_extent(std::span<const uint8_t> bytes, const std::string& name) {
  Reader reader(bytes);
  open(reader, name);
  return {int(png_get_image_width(reader.png, reader.info)),
          int(png_get_image_height(reader.png, reader.info))};
}

Image decode_png(std::span<const uint8_t> bytes, const std::string& name) {
  Reader reader(bytes);
  open(reader, name);
  if (reader.bit_depth == 16) {
    throw InputError(fmt::format(
        "{}: PNG image of 16 bits per channel; convert it to 8 bits per channel first", name));
  }
  const int64_t width = png_get_image_width(reader.png, reader.info);
  const int64_t height = png_get_image_height(reader.png, reader.info);
  if (width * height > kMaxPixels) {
    fail(name, fmt::format("{}x{} is larger than {} pixels", width, height, kMaxPixels));
  }
  Image image(int(width), int(height), png_get_channels(reader.png, reader.info));
  if (!read_pixels(reader, image.pixels.data(), image.height, image.stride())) {
    fail(name, reader.message);
  }
  return image;
}

std::vector<uint8_t> encode_png(const Image& image) {
  if (image.channels != 1 && image.channels != 3) {
    throw std::runtime_error(
        fmt::format("PNG of {} channels: only 1 or 3 are written", image.channels));
  }
  Writer writer;
  writer.png =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, &writer.message, keep_message, ignore_warning);
  if (writer.png != nullptr) writer.info = png_create_info_struct(writer.png);
  if (writer.info == nullptr) throw std::runtime_error("libpng cannot start: out of memory");
  if (!write_pixels(writer, image)) throw std::runtime_error("libpng: " + writer.message);
  return std::move(writer.bytes);
}

}  // namespace galette::io
