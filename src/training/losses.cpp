// SPDX-License-Identifier: Apache-2.0
#include "training/losses.h"

#include <cmath>

#include <torch/csrc/autograd/autograd.h>

namespace galette {

AdversarialLoss generator_loss(const Critic& critic, const at::Tensor& images,
                               const at::Tensor& c) {
  return discriminator_real_loss(critic, images, c);
}

AdversarialLoss discriminator_fake_loss(const Critic& critic, const at::Tensor& images,
                                        const at::Tensor& c) {
  const at::Tensor logits = critic.logits(images, c);
  return {logits, at::softplus(logits)};
}

AdversarialLoss discriminator_real_loss(const Critic& critic, const at::Tensor& images,
                                        const at::Tensor& c) {
  const at::Tensor logits = critic.logits(images, c);
  return {logits, at::softplus(-logits)};
}

R1Penalty r1_penalty(const Critic& critic, const at::Tensor& images, const at::Tensor& c) {
  const at::Tensor x = images.detach().requires_grad_(true);
  const at::Tensor logits = critic.logits(x, c);
  const at::Tensor gradient =
      torch::autograd::grad({logits}, {x}, {at::ones_like(logits)},
                            /*retain_graph=*/true, /*create_graph=*/true)[0];
  return {logits, gradient, gradient.square().sum({1, 2, 3})};
}

at::Tensor mix_styles(const at::Tensor& ws, const at::Tensor& second, const at::Tensor& cuts) {
  const at::Tensor layer = at::arange(ws.size(1), cuts.options()).unsqueeze(0);
  return at::where((layer >= cuts.unsqueeze(1)).unsqueeze(2), second, ws);
}

at::Tensor path_lengths(const Generator& g, const at::Tensor& ws, const at::Tensor& noise,
                        const SynthesisOptions& options, bool differentiable) {
  // Without a second derivative the mapping network need not be recorded.
  const at::Tensor latents = differentiable ? ws : ws.detach().requires_grad_(true);
  const at::Tensor images = g.synthesize(latents, options);
  const double size = std::sqrt(static_cast<double>(images.size(2) * images.size(3)));
  const at::Tensor gradient =
      torch::autograd::grad({images}, {latents}, {noise / size}, differentiable, differentiable)[0];
  return gradient.square().sum(2).mean(1).sqrt();
}

void PathLengthMean::update(const at::Tensor& sum, double count) {
  batch_mean_ = sum / count;
  mean_ = mean_.to(sum.device());
  mean_.copy_(moved(mean_));
}

at::Tensor PathLengthMean::moved(const at::Tensor& mean) const {
  return at::add(mean, batch_mean_ - mean, kDecay);
}

at::Tensor PathLengthMean::penalty(const at::Tensor& lengths) const {
  return (lengths - mean_).square();
}

at::Tensor PathLengthMean::gradient_factors(const at::Tensor& lengths) const {
  return lengths.detach() - moved(mean_);
}

}  // namespace galette
