// SPDX-License-Identifier: Apache-2.0
// What the bodies of affine_resample are given. Three steps, of which the adjoint takes the
// transposes in reverse; g = 2 h reversed:
//
//   enlarged   e[q] = sum over k of g[k] x[(q + k - 6) / 2], where the division is exact; e[2 p]
//   lies
//              on pixel p, and x is extended by reflection as far as the margins
//   canvas     c[j] = e at the real place origin + step j, bilinear, zero outside the margins
//   result     y[p] = sum over k of h[k] c[2 p + k]
#pragma once

#include <cstdint>

#include "kernels/element_type.h"
#include "kernels/host_device.h"

namespace galette {

constexpr int64_t kWaveletTaps = 12;
constexpr int64_t kHalfTaps = kWaveletTaps / 2;
/// Samples of the canvas beyond two per pixel.
constexpr int64_t kCanvasExtra = kWaveletTaps - 2;

/// Pixels by which an image is extended.
struct AffineMargins {
  int64_t left = 0, right = 0, top = 0, bottom = 0;
};

/// How one image is read, in units of the enlarged image and from its pixel 0.
struct AffinePath {
  double origin_x = 0, origin_y = 0;  ///< place of canvas sample (0, 0)
  double column_x = 0, column_y = 0;  ///< from one column of the canvas to the next
  double row_x = 0, row_y = 0;        ///< from one row to the next
  AffineMargins margins;
};

/// Planes are images [height, width], contiguous and in a row; every `channels` share a path.
struct AffineResampleCall {
  ElementType type = ElementType::kFloat32;
  int64_t planes = 0, channels = 1, height = 0, width = 0;
  double taps[kWaveletTaps] = {};  ///< h
};

/// Reflects an index once, without repeating the pixel at the border.
GALETTE_HOST_DEVICE constexpr int64_t reflect(int64_t i, int64_t n) {
  return i < 0 ? -i : (i >= n ? 2 * (n - 1) - i : i);
}

/// `in` and `out` are planes. paths: one for each image, on the host.
void affine_resample_cpu(const AffineResampleCall& call, const AffinePath* paths, bool adjoint,
                         const void* in, void* out);

/// Samples of a plane between the steps, `enlarged` for the widest margins that an image can have:
/// so room and launches depend on shapes alone, and the host need not know the paths.
GALETTE_HOST_DEVICE constexpr int64_t enlarged_side(int64_t size) {
  return 2 * (size + 2 * (size - 1));
}
GALETTE_HOST_DEVICE constexpr int64_t canvas_side(int64_t size) {
  return 2 * size + kCanvasExtra;
}

/// Room on the device for some planes between the steps, in the type of the arithmetic. The CUDA
/// body works on so many planes at a time.
struct AffineScratch {
  int64_t planes = 0;
  void* enlarged = nullptr;  ///< [planes, enlarged_side(height), enlarged_side(width)]
  void* canvas = nullptr;    ///< [planes, canvas_side(height), canvas_side(width)]
};
/// paths: on the device. Runs on the cudaStream_t `stream`.
void affine_resample_cuda(const AffineResampleCall& call, const AffinePath* paths, bool adjoint,
                          const AffineScratch& scratch, const void* in, void* out, void* stream);

}  // namespace galette
