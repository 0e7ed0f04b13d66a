// SPDX-License-Identifier: Apache-2.0
// What StyleGAN3 starts from: Fourier features with random frequencies in a disc (Karras et al.
// 2021, section 3.2 and appendix F).
#include <cmath>
#include <numbers>

#include "models/stylegan3.h"

namespace galette {
namespace {

/// Pairs of normals to points of the unit disc: for large radii of the normals close to its centre.
at::Tensor in_unit_disc(const at::Tensor& normals) {
  const at::Tensor square = normals.square().sum({1}, true);
  return normals * square.rsqrt() * (square / -4).exp();
}

/// Normals to uniform values between -1/2 and 1/2, by their distribution function.
at::Tensor centred_uniform(const at::Tensor& normals) {
  return (normals * std::sqrt(0.5)).erf() / 2;
}

/// The start (1, 0, 0, 0): neither turned nor moved.
at::Tensor first_unit_vector(const at::Tensor& normals) {
  at::Tensor vector = at::zeros_like(normals);
  vector[0] = 1;
  return vector;
}

/// Matrices [N, 3, 3] of nine entries, each a number per sample.
at::Tensor matrices(const std::vector<at::Tensor>& entries) {
  return at::stack(entries, 1).view({-1, 3, 3});
}

}  // namespace

StyleGan3Generator::Input::Input(const Scope& scope, const SignalPlan& plan, int64_t w_dim)
    : signal(plan),
      weight(scope.parameter("weight", {plan.channels, plan.channels}, Init::normal())),
      affine_weight((scope / "affine").parameter("weight", {4, w_dim}, Init::constant(0))),
      affine_bias(
          (scope / "affine").parameter("bias", {4}, Init::transformed(first_unit_vector, 1))),
      freqs(
          scope.buffer("freqs", {plan.channels, 2}, Init::transformed(in_unit_disc, plan.cutoff))),
      phases(scope.buffer("phases", {plan.channels}, Init::transformed(centred_uniform, 1))),
      transform(scope.buffer("transform", at::eye(3, at::kDouble))) {}

at::Tensor StyleGan3Generator::Input::placement(const at::Tensor& w) const {
  const double affine_gain = 1 / std::sqrt(static_cast<double>(w.size(1)));
  at::Tensor t = at::addmm(affine_bias, w, affine_weight.t() * affine_gain);
  t = t * t.narrow(1, 0, 2).square().sum({1}, true).rsqrt();
  const at::Tensor c = t.select(1, 0), s = t.select(1, 1), x = t.select(1, 2), y = t.select(1, 3);
  const at::Tensor zero = at::zeros_like(c), one = at::ones_like(c);
  const at::Tensor turn = matrices({c, -s, zero, s, c, zero, zero, zero, one});
  const at::Tensor move = matrices({one, zero, -x, zero, one, -y, zero, zero, one});
  return at::matmul(at::matmul(turn, move), transform);
}

at::Tensor StyleGan3Generator::Input::operator()(const at::Tensor& w) const {
  const at::Tensor m = placement(w);
  const auto c = signal.channels, size = signal.size;
  const auto rate = static_cast<double>(signal.rate);
  const at::Tensor f = at::matmul(freqs, m.narrow(1, 0, 2).narrow(2, 0, 2));  // [N, C, 2]
  const at::Tensor phase =
      phases + at::matmul(freqs, m.narrow(1, 0, 2).select(2, 2).unsqueeze(2)).squeeze(2);  // [N, C]
  // Waves that the transform made too fast for the sampling rate fade out.
  const at::Tensor frequency = f.square().sum({2}).sqrt();
  const at::Tensor amplitude =
      (1 - (frequency - signal.cutoff) / (rate / 2 - signal.cutoff)).clamp(0, 1);
  const at::Tensor grid =
      (at::arange(size, w.options()) + (0.5 - static_cast<double>(size) / 2)) / rate;
  const at::Tensor fx = f.select(2, 0).view({-1, c, 1, 1}), fy = f.select(2, 1).view({-1, c, 1, 1});
  const at::Tensor turns =
      phase.view({-1, c, 1, 1}) + fx * grid.view({1, 1, 1, size}) + fy * grid.view({1, 1, size, 1});
  const at::Tensor waves = (turns * (2 * std::numbers::pi)).sin() * amplitude.view({-1, c, 1, 1});
  const at::Tensor mix = weight / std::sqrt(static_cast<double>(c));
  return at::matmul(mix, waves.flatten(2)).view({-1, c, size, size});
}

}  // namespace galette
