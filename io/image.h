// SPDX-License-Identifier: Apache-2.0
// Pictures in host memory: 8 bits, rows from top to bottom, channels interleaved (height, width,
// channel). Channels: 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha (alpha not premultiplied).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace galette::io {

struct ImageShape {
  int width = 0;
  int height = 0;
  int channels = 0;

  size_t bytes() const { return size_t(width) * size_t(height) * size_t(channels); }
  bool operator==(const ImageShape&) const = default;
};

struct Image {
  int width = 0;
  int height = 0;
  int channels = 0;
  std::vector<uint8_t> pixels;

  Image() = default;
  /// Black, and transparent where there is alpha.
  Image(int w, int h, int c)
      : width(w), height(h), channels(c), pixels(size_t(w) * size_t(h) * size_t(c)) {}

  ImageShape shape() const { return {width, height, channels}; }
  size_t stride() const { return size_t(width) * size_t(channels); }
  uint8_t* row(int y) { return pixels.data() + size_t(y) * stride(); }
  const uint8_t* row(int y) const { return pixels.data() + size_t(y) * stride(); }
  bool has_alpha() const { return channels == 2 || channels == 4; }
};

using Color = std::array<uint8_t, 3>;  ///< red, green, blue

/// The picture laid over a background of one colour. A picture without alpha stays as it is; grey
/// stays grey on a grey background and becomes RGB on a coloured one.
Image composite(const Image& image, const Color& background);

/// Copies to planes (channel, height, width), which is the order of datasets and networks.
void to_planes(const Image& image, uint8_t* planes);

}  // namespace galette::io
