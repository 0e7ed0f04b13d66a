// SPDX-License-Identifier: Apache-2.0
#include "training/losses.h"

#include <cmath>

namespace galette {

AdversarialLoss generator_loss(const Generator& g, const Discriminator& d, const at::Tensor& z,
                               const at::Tensor& c) {
  const at::Tensor images = g.synthesize(g.broadcast(g.map(z, c)));
  return discriminator_real_loss(d, images, c);
}

AdversarialLoss discriminator_fake_loss(const Discriminator& d, const at::Tensor& images,
                                        const at::Tensor& c) {
  const at::Tensor logits = d.logits(images, c);
  return {logits, at::softplus(logits)};
}

AdversarialLoss discriminator_real_loss(const Discriminator& d, const at::Tensor& images,
                                        const at::Tensor& c) {
  const at::Tensor logits = d.logits(images, c);
  return {logits, at::softplus(-logits)};
}

R1Penalty r1_penalty(const Discriminator& d, const at::Tensor& images, const at::Tensor& c) {
  const at::Tensor x = images.detach().requires_grad_(true);
  const at::Tensor logits = d.logits(x, c);
  const at::Tensor gradient = torch::autograd::grad({logits.sum()}, {x}, {}, /*retain_graph=*/true,
                                                    /*create_graph=*/true)[0];
  return {logits, gradient, gradient.square().sum({1, 2, 3})};
}

at::Tensor path_lengths(const Generator& g, const at::Tensor& z, const at::Tensor& c,
                        const at::Tensor& noise, bool differentiable) {
  at::Tensor ws = g.broadcast(g.map(z, c));
  // Without a second derivative the mapping network need not be recorded.
  if (!differentiable) ws = ws.detach().requires_grad_(true);
  const at::Tensor images = g.synthesize(ws);
  const double size = std::sqrt(static_cast<double>(images.size(2) * images.size(3)));
  const at::Tensor gradient = torch::autograd::grad({(images * noise).sum() / size}, {ws}, {},
                                                    differentiable, differentiable)[0];
  return gradient.square().sum(2).mean(1).sqrt();
}

void PathLengthMean::update(double sum, double count) {
  batch_mean_ = sum / count;
  mean_ += kDecay * (batch_mean_ - mean_);
}

at::Tensor PathLengthMean::penalty(const at::Tensor& lengths) const {
  return (lengths - mean_).square();
}

at::Tensor PathLengthMean::gradient_factors(const at::Tensor& lengths) const {
  return lengths.detach() - mean_ - kDecay * (batch_mean_ - mean_);
}

}  // namespace galette
