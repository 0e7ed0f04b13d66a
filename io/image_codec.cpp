// SPDX-License-Identifier: Apache-2.0
#include "io/image_codec.h"

#include <fmt/format.h>

#include "io/check.h"
#include "io/file_util.h"
#include "io/jpeg_codec.h"
#include "io/png_codec.h"

namespace galette::io {
namespace {

[[noreturn]] void fail_unknown(std::span<const uint8_t> bytes, const std::string& name) {
  if (bytes.empty()) throw InputError(fmt::format("{}: the image file is empty", name));
  throw InputError(fmt::format(
      "{}: neither PNG nor JPEG by its first bytes; convert it to one of them or remove it", name));
}

}  // namespace

Image decode_image(std::span<const uint8_t> bytes, const std::string& name) {
  if (is_png(bytes)) return decode_png(bytes, name);
  if (is_jpeg(bytes)) return decode_jpeg(bytes, name);
  fail_unknown(bytes, name);
}

ImageExtent image_extent(std::span<const uint8_t> bytes, const std::string& name) {
  if (is_png(bytes)) return png_extent(bytes, name);
  if (is_jpeg(bytes)) return jpeg_extent(bytes, name);
  fail_unknown(bytes, name);
}

void write_png(const std::string& path, const Image& image) {
  write_file(path, encode_png(image));
}

}  // namespace galette::io
