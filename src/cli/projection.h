// SPDX-License-Identifier: Apache-2.0
// Finds the w of a given image by descending the distance to it, after Karras et al. 2020a,
// "Analyzing and Improving the Image Quality of StyleGAN", appendix D. Images are float32
// [1, C, R, R] from -1 to 1.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include <ATen/ATen.h>

#include "models/detector.h"
#include "models/network.h"

namespace galette {

/// A differentiable distance [] of an image to the one that is looked for.
using ImageDistance = std::function<at::Tensor(const at::Tensor& image)>;

/// Mean squared difference of the pixels and of those of images of 1/2, 1/4, ... the size, down to
/// 4 x 4: the mean over all sizes, so that places as well as colours draw the image near.
ImageDistance pyramid_distance(const at::Tensor& target);

/// LPIPS; images of more than 256 pixels are shrunk to that size before, as published. `lpips` must
/// outlive the result. Images of 16 pixels at least.
ImageDistance lpips_distance(const Lpips& lpips, const at::Tensor& target);

/// The average w [1, w_dim] of 10,000 latents, and the root of the mean squared distance to it.
struct LatentCloud {
  at::Tensor mean;
  double deviation = 0;
};
/// Latents are those of NumPy's RandomState(123). `label` [1, c_dim].
LatentCloud sample_cloud(const Generator& g, const at::Tensor& label);

struct ProjectionConfig {
  int64_t steps = 1000;
  double learning_rate = 0.1;
  uint32_t seed = 303;          ///< of the noise
  double noise_weight = 1e5;    ///< of the regularisation of StyleGAN2's noise maps
  double initial_noise = 0.05;  ///< added to w at first, in deviations of w
};

/// Optimises one w for all layers, and the noise maps of StyleGAN2 with it, by Adam. The learning
/// rate rises over the first 5 % of the steps and falls over the last 25 %; noise is added to w in
/// the first 75 %, so that the search does not end in the next hollow.
class Projection {
 public:
  Projection(const Generator& g, const LatentCloud& cloud, ImageDistance distance,
             const ProjectionConfig& config);

  /// One of the `steps`; returns the distance [] before it, and does not wait for a GPU. The image
  /// is kept for image().
  at::Tensor step();
  at::Tensor image() const { return image_; }
  /// [1, w_dim].
  at::Tensor w() const { return w_.value.detach(); }

 private:
  /// What is optimised, with the moments of Adam.
  struct Variable {
    explicit Variable(at::Tensor start);
    void update(double rate, int64_t step);
    at::Tensor value, first, second;
  };
  double learning_rate() const;
  double latent_noise() const;
  at::Tensor synthesize(const at::Tensor& w);
  at::Tensor noise_penalty() const;

  const Generator& g_;
  ImageDistance distance_;
  ProjectionConfig config_;
  double deviation_;
  at::Generator normals_;
  Variable w_;
  std::map<int64_t, Variable> noise_;  ///< by layer; drawn when the layer asks for the first time
  at::Tensor image_;
  int64_t step_ = 0;
};

/// How much neighbours in a noise map [1, 1, n, n] resemble each other: squared mean products with
/// the pixel on the left and above, with wrap-around, of it and of its halvings down to 8 x 8.
at::Tensor noise_resemblance(at::Tensor noise);

}  // namespace galette
