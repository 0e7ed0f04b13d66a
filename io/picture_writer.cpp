// SPDX-License-Identifier: Apache-2.0
#include "io/picture_writer.h"

#include <fmt/format.h>

#include "io/check.h"

namespace galette::io {
namespace {

constexpr int64_t kMaxPngSide = INT32_MAX, kMaxJpegSide = 65500;  // of the formats and libjpeg

void check_side(const std::string& path, const PictureLayout& layout, int64_t most) {
  if (layout.width < 1 || layout.height < 1 || layout.width > most || layout.height > most)
    throw InputError(fmt::format("{}: {}x{} pixels; this format takes 1 to {} on a side", path,
                                 layout.width, layout.height, most));
}

}  // namespace

const char* picture_suffix(PictureFormat format) {
  return format == PictureFormat::jpeg ? "jpg" : "png";
}

int picture_maximum(PictureFormat format) {
  return format == PictureFormat::png16 ? 65535 : 255;
}

std::unique_ptr<PictureWriter> open_picture(const std::string& path, PictureFormat format,
                                            const PictureLayout& layout) {
  if (format != PictureFormat::jpeg) {
    check_side(path, layout, kMaxPngSide);
    if (layout.channels < 1 || layout.channels > 4)
      throw InputError(fmt::format("{}: PNG takes 1 to 4 channels, not {}", path, layout.channels));
    return open_png_picture(path, layout, format == PictureFormat::png16 ? 16 : 8);
  }
  check_side(path, layout, kMaxJpegSide);
  if (layout.channels != 1 && layout.channels != 3)
    throw InputError(
        fmt::format("{}: JPEG takes 1 or 3 channels, not {}; write PNG", path, layout.channels));
  return open_jpeg_picture(path, layout);
}

}  // namespace galette::io
