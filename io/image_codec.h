// SPDX-License-Identifier: Apache-2.0
// PNG and JPEG, told apart by their first bytes. Palettes become RGB, CMYK and YCCK become RGB,
// fewer than 8 bits become 8; gamma, colour profiles and orientation tags are ignored. The result
// keeps an alpha channel when the file has one. Every error is an InputError that opens with the
// name given; nothing is printed.
#pragma once

#include <span>
#include <string>

#include "io/image.h"

namespace galette::io {

struct ImageExtent {
  int width = 0;
  int height = 0;
};

Image decode_image(std::span<const uint8_t> bytes, const std::string& name);

/// Width and height from the header alone.
ImageExtent image_extent(std::span<const uint8_t> bytes, const std::string& name);

/// Writes an 8-bit grey or RGB PNG, by way of a temporary file and a rename.
void write_png(const std::string& path, const Image& image);

}  // namespace galette::io
