// SPDX-License-Identifier: Apache-2.0
// Augmentation of all images that the discriminator sees in training: geometry, colour, filtering,
// noise, cutout. Each transformation is applied to an image with probability `multiplier * p`, so
// that with p well below one the generator does not learn it. Source: Karras et al. 2020, "Training
// Generative Adversarial Networks with Limited Data", appendix B.
#pragma once

#include <array>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "training/augment_source.h"

namespace galette {

/// Multipliers of the probability of each transformation; 0 switches it off.
struct AugmentConfig {
  double xflip = 0, rotate90 = 0, xint = 0;
  double scale = 0, rotate = 0, aniso = 0, xfrac = 0;
  double brightness = 0, contrast = 0, lumaflip = 0, hue = 0, saturation = 0;
  double imgfilter = 0, noise = 0, cutout = 0;
  std::array<double, 4> imgfilter_bands{1, 1, 1, 1};  ///< further factors of each frequency band

  /// Names of sets of transformations, such as "blit" and "bgc".
  static const std::vector<std::string>& names();
  /// The transformations of a set. Throws InputError on other names.
  static AugmentConfig named(const std::string& name);

  bool geometric() const;
  bool colour() const;
};

/// What is drawn for each image of a batch of n. Tensors are on the CPU, and undefined where
/// nothing is done to any image.
struct AugmentParameters {
  at::Tensor geometry;   ///< float64 [n, 3, 3]: from places in the result to places in the image
  at::Tensor margins;    ///< int64 [n, 4], see affine_resample.h
  at::Tensor colour;     ///< float64 [n, C, C + 1]: factors and an offset
  at::Tensor filter;     ///< float64 [n, 43]: taps, applied along rows and along columns
  at::Tensor noise;      ///< float32 [n, C, R, R]: to be added, times the deviation
  at::Tensor deviation;  ///< float64 [n]
  at::Tensor cutout;     ///< float64 [n, 3]: centre x, y and size of the square that becomes zero
};

/// The same where the images are and in their type, as the pipe applies it.
struct AugmentTensors {
  at::Tensor paths;      ///< see affine_resample.h
  at::Tensor colour;     ///< [n, C, C + 1]
  at::Tensor filter;     ///< [n, 43]
  at::Tensor noise;      ///< [n, C, R, R]
  at::Tensor deviation;  ///< [n]
  at::Tensor cutout;     ///< float64 [n, 3]

  /// All of them, in a fixed order.
  std::vector<at::Tensor*> all() { return {&paths, &colour, &filter, &noise, &deviation, &cutout}; }
};

class AugmentPipe {
 public:
  /// For images [n, channels, resolution, resolution] with 1 or 3 channels; throws c10::Error on
  /// other numbers.
  AugmentPipe(const AugmentConfig& config, int64_t channels, int64_t resolution);

  /// Parameters for n images at strength p >= 0.
  AugmentParameters draw(const AugmentSource& source, int64_t n, double p) const;
  /// For images of these options. The host does not wait for the device.
  AugmentTensors to_device(const AugmentParameters& parameters,
                           const at::TensorOptions& images) const;
  /// images: float32 or float64 [n, C, R, R], about [-1, 1]. Differentiable twice in them. On a GPU
  /// nothing travels from or to the host.
  at::Tensor apply(const at::Tensor& images, const AugmentTensors& parameters) const;

 private:
  void draw_noise(const AugmentSource& source, int64_t n, double p, AugmentParameters& out) const;

  AugmentConfig config_;
  int64_t channels_, resolution_;
};

}  // namespace galette
