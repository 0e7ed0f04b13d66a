// SPDX-License-Identifier: Apache-2.0
#include "io/image.h"

namespace galette::io {
Image composite(const Image& image, const Color& background) {
  if (!image.has_alpha()) return image;
  const int colors = image.channels - 1;
  const bool grey = background[0] == background[1] && background[1] == background[2];
  Image result(image.width, image.height, colors == 1 && grey ? 1 : 3);
  const size_t count = size_t(image.width) * size_t(image.height);
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* in = image.pixels.data() + i * size_t(image.channels);
    uint8_t* out = result.pixels.data() + i * size_t(result.channels);
    const unsigned alpha = in[colors];
    for (int c = 0; c < result.channels; ++c) {
      const unsigned color = in[colors == 1 ? 0 : c];
      out[c] =
          static_cast<uint8_t>((color * alpha + background[size_t(c)] * (255 - alpha) + 127) / 255);
    }
  }
  return result;
}

void to_planes(const Image& image, uint8_t* planes) {
  const size_t count = size_t(image.width) * size_t(image.height);
  const size_t channels = size_t(image.channels);
  for (size_t c = 0; c < channels; ++c) {
    for (size_t i = 0; i < count; ++i) planes[c * count + i] = image.pixels[i * channels + c];
  }
}

}  // namespace galette::io
