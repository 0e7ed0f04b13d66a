// SPDX-License-Identifier: Apache-2.0
// The losses of GAN training, each a pure function of networks and a micro-batch of n samples. They
// know nothing of ranks, files, optimisers or batch sizes: values are per sample, and the trainer
// weights, sums and differentiates them.
//
// Sources: non-saturating loss, Goodfellow et al. 2014; R1, Mescheder et al. 2018; path length and
// style mixing, Karras et al. 2020a and 2019.
#pragma once

#include <functional>
#include <utility>

#include <ATen/ATen.h>

#include "models/network.h"

namespace galette {

/// The discriminator behind what is done to every image that it judges in training: blurring and
/// augmenting. `prepare` is differentiable twice; without one, images go in as they are.
class Critic {
 public:
  using Prepare = std::function<at::Tensor(const at::Tensor&)>;
  explicit Critic(const Discriminator& d, Prepare prepare = {})
      : d_(d), prepare_(std::move(prepare)) {}

  /// images [n, C, R, R], c [n, c_dim] -> [n, 1].
  at::Tensor logits(const at::Tensor& images, const at::Tensor& c) const {
    return d_.logits(prepare_ ? prepare_(images) : images, c);
  }

 private:
  const Discriminator& d_;
  Prepare prepare_;
};

/// Discriminator outputs and the loss made of them, both [n, 1].
struct AdversarialLoss {
  at::Tensor logits;
  at::Tensor loss;
};

/// softplus(-D(images, c)) of generated images: gradients flow through D into G.
AdversarialLoss generator_loss(const Critic& critic, const at::Tensor& images, const at::Tensor& c);

/// softplus(D(images, c)) of generated images, without a way back to G.
AdversarialLoss discriminator_fake_loss(const Critic& critic, const at::Tensor& images,
                                        const at::Tensor& c);

/// softplus(-D(images, c)) of real images.
AdversarialLoss discriminator_real_loss(const Critic& critic, const at::Tensor& images,
                                        const at::Tensor& c);

/// R1: the squared norm of the gradient of sum(D(images, c)) at each image, as it was before
/// blurring and augmenting.
struct R1Penalty {
  at::Tensor logits;    ///< [n, 1]
  at::Tensor gradient;  ///< [n, C, R, R]
  at::Tensor penalty;   ///< [n], differentiable with respect to D
};
R1Penalty r1_penalty(const Critic& critic, const at::Tensor& images, const at::Tensor& c);

/// Style mixing: sample i takes its latents from index cuts[i] on from `second`. ws and second
/// [n, num_ws, w_dim], cuts int64 [n]; num_ws means no mixing.
at::Tensor mix_styles(const at::Tensor& ws, const at::Tensor& second, const at::Tensor& cuts);

/// The path length of each sample, [m]: the norm of the gradient of sum(image * noise)/sqrt(H W)
/// with respect to ws, averaged over the layers in square. `noise` [m, C, R, R] is standard normal.
/// With `differentiable`, it can be differentiated with respect to G and what ws came from.
at::Tensor path_lengths(const Generator& g, const at::Tensor& ws, const at::Tensor& noise,
                        const SynthesisOptions& options, bool differentiable);

/// Running mean of path lengths, and the penalty (length - mean)^2 against the mean *after* its
/// update, whose gradient it carries too.
class PathLengthMean {
 public:
  explicit PathLengthMean(double start = 0) { set(start); }
  // A copy would share what updates change.
  PathLengthMean(const PathLengthMean&) = delete;
  PathLengthMean& operator=(const PathLengthMean&) = delete;
  PathLengthMean(PathLengthMean&&) = default;
  PathLengthMean& operator=(PathLengthMean&&) = default;
  ~PathLengthMean() = default;
  /// Waits for the device that it was updated on.
  double value() const { return mean_.item<double>(); }
  void set(double mean) { mean_ = at::scalar_tensor(mean, at::kDouble); }
  /// The mean itself, float64 []: updates change it in place.
  at::Tensor tensor() const { return mean_; }

  /// Moves the mean towards that of `count` lengths with this sum, over all ranks: float64 [], on
  /// whose device the mean then is.
  void update(const at::Tensor& sum, double count);
  /// (length - mean)^2 for the mean after update().
  at::Tensor penalty(const at::Tensor& lengths) const;
  /// Factors k with d/dG [mean of penalties] = (2/count) sum_i k_i d length_i/dG: constants [m].
  at::Tensor gradient_factors(const at::Tensor& lengths) const;

 private:
  static constexpr double kDecay = 0.01;
  /// A mean after another step towards that of the batch.
  at::Tensor moved(const at::Tensor& mean) const;

  at::Tensor mean_, batch_mean_;  ///< float64 []
};

}  // namespace galette
