// SPDX-License-Identifier: Apache-2.0
// What the bodies of upfirdn2d are given. Along an axis, with oriented taps h[0 .. F-1],
//
//   y[q] = sum over k of h[k] x[n],  n = (q down + k - pad) / up,
//
// over those k for which the division is exact and 0 <= n < in: only every up-th tap meets a sample
// that is not an inserted zero.
#pragma once

#include <cstdint>

#include "kernels/element_type.h"
#include "kernels/host_device.h"

namespace galette {

struct UpFirDnAxis {
  int64_t in = 0;   ///< samples
  int64_t out = 0;  ///< results
  int64_t up = 1;
  int64_t down = 1;
  int64_t pad = 0;  ///< before the first sample; negative crops
  int64_t taps = 1;
};

/// Planes are images [y.in, x.in], contiguous and in a row; with `channels`, images
/// [y.in, x.in, channels] whose channels lie side by side.
struct UpFirDnCall {
  ElementType type = ElementType::kFloat32;
  int64_t planes = 0;
  int64_t channels = 1;
  UpFirDnAxis x, y;
};

/// Rounds towards minus infinity; b > 0.
GALETTE_HOST_DEVICE constexpr int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}
GALETTE_HOST_DEVICE constexpr int64_t floor_mod(int64_t a, int64_t b) {
  return a - floor_div(a, b) * b;
}

// The CPU bodies take oriented taps that contain the gain: one vector per axis, or a matrix
// [y.taps, x.taps]. The first two are for planes of one channel.
void upfirdn2d_separable_cpu(const UpFirDnCall& call, const double* taps_x, const double* taps_y,
                             const void* x, void* y);
void upfirdn2d_full_cpu(const UpFirDnCall& call, const double* taps, const void* x, void* y);
void upfirdn2d_channels_last_cpu(const UpFirDnCall& call, const double* taps, const void* x,
                                 void* y);
/// The CUDA body takes a matrix of taps on the device, in float64 for float64 data, else in
/// float32, and orients it itself. Runs on the cudaStream_t `stream`.
void upfirdn2d_cuda(const UpFirDnCall& call, const void* taps, bool flip_filter, double gain,
                    const void* x, void* y, void* stream);

}  // namespace galette
