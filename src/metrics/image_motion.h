// SPDX-License-Identifier: Apache-2.0
// Images that are moved and turned by signal processing, to compare with what an equivariant
// generator makes of the same motion (Karras et al. 2021, "Alias-Free Generative Adversarial
// Networks", appendix E). All take square images [N, C, S, S] of any floating-point type and
// compute in double precision, where the images are. Shifts are in pixels, right and down; angles
// in radians.
#pragma once

#include <array>

#include <ATen/ATen.h>

namespace galette {

struct MovedImages {
  at::Tensor images;  ///< float64 [N, C, S, S]
  at::Tensor mask;    ///< float64 [S, S]: 1 where the images are exact, 0 near or beyond borders
};

/// Moved by whole pixels; zero where nothing was.
MovedImages shift_whole(const at::Tensor& images, const std::array<int64_t, 2>& shift);

/// Moved by any number of pixels, with a Lanczos filter of six taps along each axis.
MovedImages shift_fractional(const at::Tensor& images, const std::array<double, 2>& shift);

/// Turned: the pixel at offset e from the centre shows what was at R^-1 e, R = [[cos, sin], [-sin,
/// cos]]. The images are enlarged four times, with a filter that passes the frequencies of both the
/// old and the new pixel grid, and interpolated. Throws c10::Error for images below 16 pixels,
/// where nothing is left within the mask.
MovedImages rotate(const at::Tensor& images, double angle);

/// What rotate() does to frequencies, for images that show turned things already.
MovedImages pseudo_rotate(const at::Tensor& images, double angle);

/// The filter of both [12 u - 1, 12 u - 1], with u taps per pixel along each axis. It passes what
/// lies in the band of a pixel grid and in that of a grid turned by `angle`, under a Lanczos window
/// of radius 3 for each; every u-th tap along both axes, from any first one, sums to 1/u^2.
at::Tensor band_limit_filter(double angle, int64_t oversampling);

}  // namespace galette
