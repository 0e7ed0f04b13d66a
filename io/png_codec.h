// SPDX-License-Identifier: Apache-2.0
// The PNG half of image_codec.h.
#pragma once

#include "io/image_codec.h"

namespace galette::io {

bool is_png(std::span<const uint8_t> bytes);
Image decode_png(std::span<const uint8_t> bytes, const std::string& name);
ImageExtent png_extent(std::span<const uint8_t> bytes, const std::string& name);
std::vector<uint8_t> encode_png(const Image& image);

}  // namespace galette::io
