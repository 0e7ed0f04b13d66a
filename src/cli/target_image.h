// SPDX-License-Identifier: Apache-2.0
// Pictures of any size as the network makes them, and back.
#pragma once

#include <string>

#include <ATen/ATen.h>

#include "io/image.h"

namespace galette {

struct TargetImage {
  at::Tensor image;  ///< float32 [1, channels, side, side] from -1 to 1
  std::string note;  ///< how its size was changed, such as "400x300 pixels, centre-cropped, ..."
};

/// Reads a PNG or JPEG file. What is not square is centre-cropped, then resized by Lanczos' filter;
/// transparent pictures are laid over white; grey ones become RGB, or RGB ones grey (ITU-R BT.601).
/// `channels` 1 or 3. Throws InputError naming the file.
TargetImage load_target(const std::string& path, int64_t side, int64_t channels);

/// The first image of [n, 1 or 3, H, W] on any device, as floor(127.5 x + 128) within 0..255.
io::Image to_picture(const at::Tensor& images);

}  // namespace galette
