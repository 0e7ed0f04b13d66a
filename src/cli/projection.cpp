// SPDX-License-Identifier: Apache-2.0
#include "cli/projection.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include "cli/latents.h"
#include "kernels/upload.h"

namespace galette {
namespace {

constexpr int64_t kLeastSide = 4;        // of the pyramid
constexpr int64_t kMostLpipsSide = 256;  // of images as the published program judges them
constexpr uint32_t kCloudSeed = 123;     // as published
constexpr int64_t kCloudSize = 10'000, kCloudBatch = 500;
constexpr double kRise = 0.05, kFall = 0.25, kNoisy = 0.75;  // parts of the steps
constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
constexpr int64_t kLeastNoiseSide = 8;

at::Tensor halved(const at::Tensor& image) {
  return at::avg_pool2d(image, 2);
}

/// The input of LPIPS: 0 to 255, small enough.
at::Tensor lpips_input(const at::Tensor& image) {
  at::Tensor x = (image + 1) * 127.5;
  while (x.size(2) > kMostLpipsSide) x = halved(x);
  return x;
}

}  // namespace

ImageDistance pyramid_distance(const at::Tensor& target) {
  return [target](const at::Tensor& image) {
    at::Tensor a = image, b = target, sum = (a - b).square().mean();
    double levels = 1;
    for (; a.size(2) >= 2 * kLeastSide; ++levels) {
      a = halved(a);
      b = halved(b);
      sum = sum + (a - b).square().mean();
    }
    return sum / levels;
  };
}

ImageDistance lpips_distance(const Lpips& lpips, const at::Tensor& target) {
  const at::Tensor wanted = lpips.embed(lpips_input(target)).detach();
  return [&lpips, wanted](const at::Tensor& image) {
    return (lpips.embed(lpips_input(image)) - wanted).square().sum();
  };
}

LatentCloud sample_cloud(const Generator& g, const at::Tensor& label) {
  const at::NoGradGuard no_grad;
  io::LegacyRandom random(kCloudSeed);
  std::vector<at::Tensor> parts;
  for (int64_t done = 0; done < kCloudSize; done += kCloudBatch) {
    const at::Tensor z = draw_normals(random, kCloudBatch * g.z_dim()).view({kCloudBatch, -1});
    parts.push_back(g.map(z.to(g.arena().options()), label.expand({kCloudBatch, -1})));
  }
  const at::Tensor w = at::cat(parts);
  const at::Tensor mean = w.mean(0, /*keepdim=*/true);
  return {mean, std::sqrt((w - mean).square().sum().item<double>() / kCloudSize)};
}

at::Tensor noise_resemblance(at::Tensor noise) {
  at::Tensor sum = at::zeros({}, noise.options());
  for (;;) {
    for (const int64_t axis : {2, 3}) sum = sum + (noise * noise.roll(1, axis)).mean().square();
    if (noise.size(2) <= kLeastNoiseSide) return sum;
    noise = halved(noise) * 2;  // which keeps the variance of white noise
  }
}

Projection::Variable::Variable(at::Tensor start)
    : value(std::move(start)), first(at::zeros_like(value)), second(at::zeros_like(value)) {
  value.set_requires_grad(true);
}

void Projection::Variable::update(double rate, int64_t step) {
  const at::NoGradGuard no_grad;
  const at::Tensor gradient = value.grad();
  first.lerp_(gradient, 1 - kBeta1);
  second.lerp_(gradient.square(), 1 - kBeta2);
  const auto n = static_cast<double>(step);
  const double first_part = 1 - std::pow(kBeta1, n), second_part = 1 - std::pow(kBeta2, n);
  value.addcdiv_(first, (second / second_part).sqrt_().add_(kEpsilon), -rate / first_part);
  value.mutable_grad().reset();
}

Projection::Projection(const Generator& g, const LatentCloud& cloud, ImageDistance distance,
                       const ProjectionConfig& config)
    : g_(g),
      distance_(std::move(distance)),
      config_(config),
      deviation_(cloud.deviation),
      normals_(at::detail::createCPUGenerator(config.seed)),
      w_(cloud.mean.clone()) {}

double Projection::learning_rate() const {
  const double t = static_cast<double>(step_) / static_cast<double>(config_.steps);
  const double fall = std::min(1.0, (1 - t) / kFall);
  const double ramp = 0.5 - 0.5 * std::cos(std::numbers::pi * fall);
  // The first step moves too, unlike that of a ramp from 0.
  const double rise =
      std::min(1.0, static_cast<double>(step_ + 1) / (kRise * static_cast<double>(config_.steps)));
  return config_.learning_rate * ramp * rise;
}

double Projection::latent_noise() const {
  const double t = static_cast<double>(step_) / static_cast<double>(config_.steps);
  const double left = std::max(0.0, 1 - t / kNoisy);
  return deviation_ * config_.initial_noise * left * left;
}

at::Tensor Projection::synthesize(const at::Tensor& w) {
  SynthesisOptions options;
  options.noise_mode = NoiseMode::random;
  options.random_noise = [this](int64_t layer, int64_t size) {
    auto found = noise_.find(layer);
    if (found == noise_.end()) {
      const at::Tensor start =
          at::randn({1, 1, size, size}, normals_, at::TensorOptions(at::kFloat));
      found = noise_.emplace(layer, Variable(start.to(w_.value.options()))).first;
    }
    return found->second.value;
  };
  return g_.synthesize(g_.broadcast(w), options);
}

at::Tensor Projection::noise_penalty() const {
  at::Tensor sum = at::zeros({}, w_.value.options());
  for (const auto& [layer, noise] : noise_) sum = sum + noise_resemblance(noise.value);
  return sum * config_.noise_weight;
}

at::Tensor Projection::step() {
  const at::Tensor shift = upload(
      at::randn(w_.value.sizes(), normals_, at::TensorOptions(at::kFloat)), w_.value.options());
  const at::Tensor image = synthesize(w_.value + shift * latent_noise());
  const at::Tensor distance = distance_(image);
  (distance + noise_penalty()).backward();
  const double rate = learning_rate();
  ++step_;
  w_.update(rate, step_);
  for (auto& [layer, noise] : noise_) {
    noise.update(rate, step_);
    const at::NoGradGuard no_grad;
    noise.value.sub_(noise.value.mean());
    noise.value.div_(noise.value.square().mean().sqrt());
  }
  image_ = image.detach();
  return distance.detach();
}

}  // namespace galette
