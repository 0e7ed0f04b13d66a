// SPDX-License-Identifier: Apache-2.0
// From latents to rows of pixels, at the size and of the part that is asked for.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>

#include <ATen/ATen.h>

#include "cli/number_text.h"
#include "io/picture_writer.h"
#include "models/creps_canvas.h"
#include "models/network.h"

namespace galette {

/// How the generator is asked for an image. What only some generators know is absent by default.
struct ImageRequest {
  std::optional<double> scale;                  ///< CREPS: floor(resolution * scale) pixels a side
  std::optional<Extent> size;                   ///< CREPS, instead of scale
  std::optional<std::array<double, 4>> region;  ///< CREPS: x0, y0, x1, y1 of the unit square
  std::optional<int64_t> tile;                  ///< CREPS: rows that are computed at a time
  std::optional<std::array<double, 2>> translate;  ///< StyleGAN3, in sides of the image
  std::optional<double> rotate;                    ///< StyleGAN3, in degrees
  NoiseMode noise_mode = NoiseMode::constant;
};

class ImageMaker {
 public:
  /// Throws InputError naming the option that `g` has no use for, or that makes no image. Sets the
  /// transform of a StyleGAN3 generator.
  ImageMaker(Generator& g, const ImageRequest& request);

  /// Size and channels of every image.
  const io::PictureLayout& layout() const { return layout_; }

  /// Hands rows over from the top, int32 [rows, width, channels] on the host, as floor(127.5 x +
  /// 128) within 0..255, or likewise for another `maximum`. `ws` [1, num_ws, w_dim]. Random noise
  /// is that of `seed`.
  void make(const at::Tensor& ws, uint32_t seed, int maximum,
            const std::function<void(const at::Tensor& rows)>& take) const;

 private:
  void lay_out_canvas(const ImageRequest& request);

  Generator& g_;
  const CrepsGenerator* creps_;  ///< or null
  PixelAxis rows_, columns_;     ///< of CREPS
  int64_t tile_;
  NoiseMode noise_mode_;
  io::PictureLayout layout_;
};

}  // namespace galette
