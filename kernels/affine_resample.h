// SPDX-License-Identifier: Apache-2.0
// Affine transformation of images [N, C, H, W] with little aliasing, one transformation per image,
// as one operator: extend by reflection, enlarge twice with the sym6 low-pass, sample bilinearly
// where the transformation says, reduce twice with the same filter, reversed. Linear in the images,
// hence differentiable to any order. Source: Karras et al. 2020, "Training Generative Adversarial
// Networks with Limited Data", appendix B.
//
// Along an axis, with taps h[0 .. 11], a pixel p of the result is sum_k h[k] c(p - 5/2 + k/2),
// where c at a place s reads the enlarged image at place A s + t, in units of pixels of the input.
#pragma once

#include <ATen/ATen.h>

namespace galette {

/// How far each image is extended by reflection: int64 [N, 4], left, right, top, bottom, at most
/// one pixel less than the image. It follows from where the corners of the result come from, and
/// leaves room for the filters unless the transformation shrinks the image.
at::Tensor affine_margins(const at::Tensor& inverse, int64_t height, int64_t width);

/// The transformations of images of a size, in the form that the operator reads: uint8 [N, ...] on
/// the CPU, which may be moved to the images' device. inverse: float64 [N, 2, 3] or [N, 3, 3] on
/// the CPU: takes a place in the result to the place in the image, both in pixels from the centre,
/// x to the right and y down. margins: int64 [N, 4] on the CPU, by default affine_margins(); beyond
/// them an image is zero. Throws c10::Error on other shapes or types, singular or non-finite
/// matrices, and margins that are negative or not less than the image.
at::Tensor affine_paths(const at::Tensor& inverse, int64_t height, int64_t width,
                        const at::Tensor& margins = {});

/// x: [N, C, H, W], float32 or float64 (on CUDA also float16 and bfloat16). paths: affine_paths()
/// of images of this size, on the device of x. Returns [N, C, H, W]. Throws c10::Error on other
/// shapes or types.
at::Tensor affine_resample(const at::Tensor& x, const at::Tensor& paths);

}  // namespace galette
