// SPDX-License-Identifier: Apache-2.0
#include "models/modulated_conv2d.h"

#include <cmath>

#include "kernels/conv2d_resample.h"
#include "kernels/demodulation.h"
#include "models/modulation.h"

namespace galette {
namespace {

/// [N, C] -> [N, C, 1, 1].
at::Tensor per_channel(const at::Tensor& factors) {
  return factors.unsqueeze(2).unsqueeze(3);
}

}  // namespace

ModulatedConv2d::ModulatedConv2d(const Scope& scope, int64_t in, int64_t out, int64_t w_dim,
                                 const Config& config)
    : config_(config),
      style_gain_(config.demodulate
                      ? 1
                      : 1 / std::sqrt(static_cast<double>(in * config.kernel * config.kernel))),
      weight_(scope.parameter("weight", {out, in, config.kernel, config.kernel}, Init::normal())),
      bias_(scope.parameter("bias", {out}, Init::constant(0))),
      affine_(scope / "affine", w_dim, in, {.bias_init = 1}) {}

at::Tensor ModulatedConv2d::convolve(const at::Tensor& x, const at::Tensor& weight) const {
  Conv2dResampleOptions options;
  options.up = config_.up;
  // Up-sampling layers store their kernels as those of a true convolution.
  options.flip_weight = config_.up == 1;
  const int64_t half = config_.kernel / 2;
  options.padding = {half, half, half, half};
  return conv2d_resample(x, weight, config_.up > 1 ? config_.filter : at::Tensor(), options);
}

at::Tensor ModulatedConv2d::operator()(const at::Tensor& x, const at::Tensor& w,
                                       const at::Tensor& noise) const {
  const at::ScalarType type = x.scalar_type();
  Modulation m{weight_, affine_(w)};
  if (style_gain_ != 1) m.style = m.style * style_gain_;
  if (config_.demodulate && at::isReducedFloatingType(type)) m = m.for_16_bits();
  at::Tensor y = convolve(x * per_channel(m.style.to(type)), as_weight_for(x, m.weight));
  if (config_.demodulate) {
    const at::Tensor factors = per_channel(demodulation(m.weight, m.style).to(type));
    y = noise.defined() ? at::addcmul(noise.to(type), y, factors) : y * factors;
  }
  return config_.act(y, bias_.to(type), 1);
}

}  // namespace galette
