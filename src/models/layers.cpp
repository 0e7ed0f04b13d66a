// SPDX-License-Identifier: Apache-2.0
#include "models/layers.h"

#include <cmath>

#include <fmt/format.h>

#include "kernels/conv2d_resample.h"
#include "kernels/fir_filter.h"
#include "kernels/modulated_weight.h"
#include "kernels/scaled_linear.h"
#include "models/modulation.h"

namespace galette {
namespace {

constexpr double kEpsilon = 1e-8;

/// y[n] = weight x[n] for weight [O, I] or [N, O, I] and x [N, I, P].
at::Tensor per_sample_product(const at::Tensor& weight, const at::Tensor& x) {
  const at::Tensor batched =
      weight.dim() == 3 ? weight : weight.unsqueeze(0).expand({x.size(0), -1, -1});
  return at::bmm(batched, x);
}

}  // namespace

at::Tensor ActivationConfig::operator()(const at::Tensor& x, const at::Tensor& bias,
                                        int64_t dim) const {
  BiasActOptions options;
  options.dim = dim;
  options.gain = default_gain(activation) * gain;
  if (clamp) options.clamp = *clamp * gain;
  return bias_act(x, bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt, activation,
                  options);
}

FullyConnected::FullyConnected(const Scope& scope, int64_t in, int64_t out, const Config& config)
    : activation_(config.activation),
      weight_gain_(config.lr_multiplier / std::sqrt(static_cast<double>(in))),
      bias_gain_(config.lr_multiplier),
      weight_(scope.parameter("weight", {out, in}, Init::normal(1 / config.lr_multiplier))),
      bias_(scope.parameter("bias", {out}, Init::constant(config.bias_init))) {}

at::Tensor FullyConnected::scaled_bias() const {
  return bias_gain_ == 1 ? bias_ : bias_ * bias_gain_;
}

at::Tensor FullyConnected::operator()(const at::Tensor& x) const {
  if (activation_ == Activation::kLinear)
    return scaled_linear(x, weight_, bias_, weight_gain_, bias_gain_);
  return ActivationConfig{activation_, 1, std::nullopt}(scaled_linear(x, weight_, {}, weight_gain_),
                                                        scaled_bias(), 1);
}

at::Tensor FullyConnected::per_position(const at::Tensor& x) const {
  return ActivationConfig{activation_, 1, std::nullopt}(per_sample_product(scaled_weight(), x),
                                                        scaled_bias(), 1);
}

at::Tensor as_weight_for(const at::Tensor& x, const at::Tensor& weight) {
  return weight.to(x.scalar_type(), /*non_blocking=*/false, /*copy=*/false,
                   x.suggest_memory_format());
}

at::Tensor normalize_2nd_moment(const at::Tensor& x) {
  return x * (x.square().mean({1}, true) + kEpsilon).rsqrt();
}

MappingNetwork::MappingNetwork(const Scope& scope, const Config& config) : config_(config) {
  int64_t width = config.z_dim;
  if (config.c_dim > 0) {
    embed_.emplace(scope / "embed", config.c_dim, config.w_dim, FullyConnected::Config{});
    width += config.w_dim;
  }
  for (int64_t k = 0; k < config.num_layers; ++k) {
    layers_.emplace_back(
        scope / fmt::format("fc{}", k), k == 0 ? width : config.w_dim, config.w_dim,
        FullyConnected::Config{.activation = Activation::kLrelu, .lr_multiplier = 0.01});
  }
  if (config.track_average) w_avg_ = scope.buffer("w_avg", {config.w_dim}, Init::constant(0));
}

at::Tensor MappingNetwork::operator()(const at::Tensor& z, const at::Tensor& c) const {
  std::vector<at::Tensor> inputs;
  if (config_.z_dim > 0) inputs.push_back(normalize_2nd_moment(z));
  if (embed_) inputs.push_back(normalize_2nd_moment((*embed_)(c)));
  at::Tensor x = inputs.size() == 1 ? inputs[0] : at::cat(inputs, 1);
  for (const FullyConnected& layer : layers_) x = layer(x);
  return x;
}

ModulatedFc::ModulatedFc(const Scope& scope, int64_t in, int64_t out, int64_t w_dim,
                         const Config& config)
    : config_(config),
      style_gain_(config.demodulate ? 1 : 1 / std::sqrt(static_cast<double>(in))),
      weight_(scope.parameter("weight", {out, in}, Init::normal())),
      bias_(scope.parameter("bias", {out}, Init::constant(0))),
      affine_(scope / "affine", w_dim, in, {.bias_init = 1}) {}

at::Tensor ModulatedFc::sample_weights(const at::Tensor& w, at::ScalarType type) const {
  Modulation m{weight_, affine_(w)};
  if (config_.demodulate && at::isReducedFloatingType(type)) m = m.for_16_bits();
  return modulated_weight(m.weight, m.style, config_.demodulate, style_gain_).to(type);
}

at::Tensor ModulatedFc::operator()(const at::Tensor& x, const at::Tensor& w) const {
  const at::ScalarType type = x.scalar_type();
  return config_.act(per_sample_product(sample_weights(w, type), x), bias_.to(type), 1);
}

DecoderLayer ModulatedFc::decoder_layer(const at::Tensor& w) const {
  return {sample_weights(w, bias_.scalar_type()), bias_, config_.act.clamp};
}

Conv2dLayer::Conv2dLayer(const Scope& scope, int64_t in, int64_t out, const Config& config)
    : config_(config),
      weight_gain_(1 / std::sqrt(static_cast<double>(in * config.kernel * config.kernel))),
      weight_(scope.parameter("weight", {out, in, config.kernel, config.kernel}, Init::normal())),
      filter_(scope.buffer("resample_filter", setup_filter({1, 3, 3, 1}))) {
  if (config.bias) bias_ = scope.parameter("bias", {out}, Init::constant(0));
}

at::Tensor Conv2dLayer::operator()(const at::Tensor& x) const {
  Conv2dResampleOptions options;
  options.up = config_.up;
  options.down = config_.down;
  // Up-sampling layers store their kernels as those of a true convolution.
  options.flip_weight = config_.up == 1;
  const int64_t half = config_.kernel / 2;
  options.padding = {half, half, half, half};
  const bool resamples = config_.up > 1 || config_.down > 1;
  const at::Tensor y = conv2d_resample(x, as_weight_for(x, weight_ * weight_gain_),
                                       resamples ? filter_ : at::Tensor(), options);
  return config_.act(y, bias_.defined() ? bias_.to(x.scalar_type()) : bias_, 1);
}

}  // namespace galette
