// SPDX-License-Identifier: Apache-2.0
#include "cli/target_image.h"

#include <algorithm>

#include <fmt/format.h>

#include "io/file_util.h"
#include "io/image_codec.h"
#include "io/resize.h"

namespace galette {
namespace {

constexpr io::Color kWhite{255, 255, 255};

/// float32 [C, H, W], 0 to 255.
at::Tensor planes(const io::Image& image) {
  at::Tensor bytes = at::empty({image.channels, image.height, image.width}, at::kByte);
  io::to_planes(image, bytes.mutable_data_ptr<uint8_t>());
  return bytes.to(at::kFloat);
}

at::Tensor with_channels(const at::Tensor& planes, int64_t channels) {
  if (planes.size(0) == channels) return planes;
  if (channels == 3) return planes.expand({3, -1, -1});
  return at::round(0.299 * planes[0] + 0.587 * planes[1] + 0.114 * planes[2]).unsqueeze(0);
}

}  // namespace

TargetImage load_target(const std::string& path, int64_t side, int64_t channels) {
  const io::Image image = io::composite(io::decode_image(io::read_file(path), path), kWhite);
  TargetImage target;
  if (image.width != side || image.height != side)
    target.note = fmt::format("{}x{} pixels{}, resized to {}x{}", image.width, image.height,
                              image.width == image.height ? "" : ", centre-cropped", side, side);
  const io::Resolution size{static_cast<int>(side), static_cast<int>(side)};
  const at::Tensor pixels = planes(io::apply_transform(io::Transform::center_crop, size, image));
  target.image = (with_channels(pixels, channels) / 127.5 - 1).unsqueeze(0).contiguous();
  return target;
}

io::Image to_picture(const at::Tensor& images) {
  const at::Tensor levels = images[0].cpu().mul(127.5).add_(128).clamp_(0, 255).to(at::kByte);
  const at::Tensor pixels = levels.permute({1, 2, 0}).contiguous();
  io::Image image(static_cast<int>(pixels.size(1)), static_cast<int>(pixels.size(0)),
                  static_cast<int>(pixels.size(2)));
  std::copy_n(pixels.const_data_ptr<uint8_t>(), image.pixels.size(), image.pixels.data());
  return image;
}

}  // namespace galette
