// SPDX-License-Identifier: Apache-2.0
// The JPEG half of image_codec.h.
#pragma once

#include "io/image_codec.h"

namespace galette::io {

bool is_jpeg(std::span<const uint8_t> bytes);
Image decode_jpeg(std::span<const uint8_t> bytes, const std::string& name);
ImageExtent jpeg_extent(std::span<const uint8_t> bytes, const std::string& name);

}  // namespace galette::io
