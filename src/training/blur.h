// SPDX-License-Identifier: Apache-2.0
// Blur of all images that the discriminator sees in the beginning of training, which fades out.
// Source: Karras et al. 2021, "Alias-Free Generative Adversarial Networks", appendix.
#pragma once

#include <cstdint>

#include <ATen/ATen.h>

namespace galette {

/// Width after so many images: from `start` linearly to 0 at 1000 fade_kimg, 0 from there on and
/// when fade_kimg is not positive.
double blur_sigma(double start, double fade_kimg, int64_t images);

/// Whether blur_images() does anything at this width.
bool blurs(double sigma);

/// images [n, C, H, W] filtered along rows and columns with taps 2^-(k/sigma)^2, |k| <= floor(3
/// sigma), of sum 1; zero beyond the borders. The images themselves when that is one tap.
/// Differentiable to any order.
at::Tensor blur_images(const at::Tensor& images, double sigma);

}  // namespace galette
