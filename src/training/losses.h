// SPDX-License-Identifier: Apache-2.0
// The losses of GAN training, each a pure function of networks and a micro-batch of n samples. They
// know nothing of ranks, files, optimisers or batch sizes: values are per sample, and the trainer
// weights, sums and differentiates them.
//
// Sources: non-saturating loss, Goodfellow et al. 2014; R1, Mescheder et al. 2018; path length,
// Karras et al. 2020a, eq. 4.
#pragma once

#include <ATen/ATen.h>

#include "models/network.h"

namespace galette {

/// Discriminator outputs and the loss made of them, both [n, 1].
struct AdversarialLoss {
  at::Tensor logits;
  at::Tensor loss;
};

/// softplus(-D(G(z, c), c)): gradients flow through D into G.
AdversarialLoss generator_loss(const Generator& g, const Discriminator& d, const at::Tensor& z,
                               const at::Tensor& c);

/// softplus(D(images, c)) of generated images, without a way back to G.
AdversarialLoss discriminator_fake_loss(const Discriminator& d, const at::Tensor& images,
                                        const at::Tensor& c);

/// softplus(-D(images, c)) of real images.
AdversarialLoss discriminator_real_loss(const Discriminator& d, const at::Tensor& images,
                                        const at::Tensor& c);

/// R1: the squared norm of the gradient of sum(D(images, c)) at each image.
struct R1Penalty {
  at::Tensor logits;    ///< [n, 1]
  at::Tensor gradient;  ///< [n, C, R, R]
  at::Tensor penalty;   ///< [n], differentiable with respect to D
};
R1Penalty r1_penalty(const Discriminator& d, const at::Tensor& images, const at::Tensor& c);

/// The path length of each sample, [m]: the norm of the gradient of sum(image * noise)/sqrt(H W)
/// with respect to ws, averaged over the layers in square. `noise` [m, C, R, R] is standard normal.
/// With `differentiable`, it can be differentiated with respect to G.
at::Tensor path_lengths(const Generator& g, const at::Tensor& z, const at::Tensor& c,
                        const at::Tensor& noise, bool differentiable);

/// Running mean of path lengths, and the penalty (length - mean)^2 against the mean *after* its
/// update, whose gradient it carries too.
class PathLengthMean {
 public:
  explicit PathLengthMean(double start = 0) : mean_(start) {}
  double value() const { return mean_; }
  void set(double mean) { mean_ = mean; }

  /// Moves the mean towards that of `count` lengths with this sum, over all ranks.
  void update(double sum, double count);
  /// (length - mean)^2 for the mean after update().
  at::Tensor penalty(const at::Tensor& lengths) const;
  /// Factors k with d/dG [mean of penalties] = (2/count) sum_i k_i d length_i/dG: constants [m].
  at::Tensor gradient_factors(const at::Tensor& lengths) const;

 private:
  static constexpr double kDecay = 0.01;
  double mean_;
  double batch_mean_ = 0;
};

}  // namespace galette
