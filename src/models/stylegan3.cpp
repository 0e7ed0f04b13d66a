// SPDX-License-Identifier: Apache-2.0
#include "models/stylegan3.h"

#include <cmath>
#include <numbers>

#include "kernels/conv2d_3x3.h"
#include "kernels/demodulation.h"
#include "kernels/filtered_lrelu.h"
#include "models/modulation.h"

namespace galette {
namespace {

constexpr double kPi = std::numbers::pi;

/// Scaled so that the mean square along all axes but the first is one.
at::Tensor to_unit_power(const at::Tensor& x) {
  std::vector<int64_t> axes;
  for (int64_t axis = 1; axis < x.dim(); ++axis) axes.push_back(axis);
  return x * x.square().mean(axes, true).rsqrt();
}

/// [N, C] -> [N, C, 1, 1] in the type of `like`.
at::Tensor per_channel(const at::Tensor& factors, const at::Tensor& like) {
  return factors.unsqueeze(2).unsqueeze(3).to(like.scalar_type());
}

/// The average of x^2 that a layer counts with; adds what x tells to `magnitudes`.
at::Tensor used_average(const at::Tensor& x, const at::Tensor& stored, InputMagnitudes* magnitudes,
                        int64_t layer) {
  if (magnitudes == nullptr) return stored;
  const at::Tensor sum = x.detach().to(stored.scalar_type()).square().sum(at::kDouble);
  const auto count = static_cast<double>(x.numel());
  at::Tensor row = magnitudes->sums.select(0, layer);
  row.select(0, 0).add_(sum.to(row.device()));
  row.select(0, 1).add_(count);
  if (!magnitudes->immediate_beta) return stored;
  return at::lerp((sum / count).to(stored.scalar_type()), stored, *magnitudes->immediate_beta);
}

}  // namespace

StyleGan3Generator::Layer::Layer(const Scope& scope, const StyleGan3LayerPlan& plan,
                                 const StyleGan3Config& config)
    : plan_(plan),
      clamp_(config.conv_clamp),
      may_be_low_(plan.out.rate << config.num_fp16_res > config.img_resolution),
      weight_(scope.parameter("weight",
                              {plan.out.channels, plan.in.channels, plan.kernel, plan.kernel},
                              Init::normal())),
      bias_(scope.parameter("bias", {plan.out.channels}, Init::constant(0))),
      magnitude_(scope.buffer("magnitude_ema", {}, Init::constant(1))),
      affine_(scope / "affine", config.w_dim, plan.in.channels, {.bias_init = 1}) {
  if (plan.up_taps > 1) up_filter_ = scope.buffer("up_filter", plan.up_filter());
  if (plan.down_taps > 1) down_filter_ = scope.buffer("down_filter", plan.down_filter());
}

/// The modulated convolution is evaluated without weights per sample: the style scales the input,
/// one convolution of the whole batch follows, demodulation scales the output. The published
/// networks bring weights, and the styles of a whole batch, to unit power first. That cancels but
/// in the epsilon, and styles as well per sample; 16 bits need it, so that products do not
/// overflow.
at::Tensor StyleGan3Generator::Layer::convolve(const at::Tensor& x, const at::Tensor& style,
                                               const at::Tensor& gain) const {
  const auto full_convolution = [&](const at::Tensor& scaled, const at::Tensor& weight) {
    const int64_t pad = plan_.kernel - 1;
    if (plan_.kernel == 3) return conv2d_3x3(scaled, weight.to(x.scalar_type()), pad, pad);
    return at::conv2d(scaled, weight.to(x.scalar_type()), {}, {1, 1}, {pad, pad});
  };
  if (plan_.to_rgb) {
    const int64_t fan_in = weight_.numel() / weight_.size(0);
    const at::Tensor scale = gain / std::sqrt(static_cast<double>(fan_in));
    return full_convolution(x * per_channel(style * scale, x), weight_);
  }
  const bool in_16_bits = at::isReducedFloatingType(x.scalar_type());
  const Modulation m = in_16_bits ? Modulation{to_unit_power(weight_), to_unit_power(style)}
                                  : Modulation{weight_, style};
  const at::Tensor factors =
      demodulation(m.weight, m.style,
                   in_16_bits ? DemodulationEpsilon::absolute : DemodulationEpsilon::relative);
  return full_convolution(x * per_channel(m.style, x), m.weight) * per_channel(factors * gain, x);
}

at::Tensor StyleGan3Generator::Layer::operator()(const at::Tensor& x, const at::Tensor& w,
                                                 const at::Tensor& average) const {
  const at::Tensor y = convolve(x, affine_(w), average.rsqrt());
  FilteredLreluOptions options;
  options.up = plan_.up;
  options.down = plan_.down;
  options.padding = {plan_.padding[0], plan_.padding[1], plan_.padding[0], plan_.padding[1]};
  options.clamp = clamp_;
  if (plan_.to_rgb) options.gain = options.slope = 1;
  return filtered_lrelu(y, bias_.to(y.scalar_type()), up_filter_, down_filter_, options);
}

StyleGan3Generator::StyleGan3Generator(const StyleGan3Config& config, at::TensorOptions options)
    : Generator(options), config_(config) {
  TORCH_CHECK(config.img_resolution >= 4, "StyleGAN3 needs a resolution of at least 4");
  const Scope synthesis("synthesis", arena());
  const std::vector<StyleGan3LayerPlan> plans = config.layers();
  input_.emplace(synthesis / "input", plans[0].in, config.w_dim);
  for (const StyleGan3LayerPlan& plan : plans)
    layers_.emplace_back(synthesis / plan.name, plan, config);
  mapping_.emplace(Scope("mapping", arena()),
                   MappingNetwork::Config{config.z_dim, config.c_dim, config.w_dim,
                                          config.mapping_layers, true});
  arena().allocate();
}

std::vector<at::Tensor> StyleGan3Generator::magnitude_averages() const {
  std::vector<at::Tensor> averages;
  for (const Layer& layer : layers_) averages.push_back(layer.magnitude_average());
  return averages;
}

at::Tensor StyleGan3Generator::inverse_transform(double angle, double x, double y) {
  const double c = std::cos(angle * kPi / 180), s = std::sin(angle * kPi / 180);
  // The inverse of [[c, s, x], [-s, c, y], [0, 0, 1]].
  const std::vector<double> inverse{c, -s, s * y - c * x, s, c, -s * x - c * y, 0, 0, 1};
  return at::tensor(at::ArrayRef<double>(inverse), at::kDouble).view({3, 3});
}

at::Tensor StyleGan3Generator::render(const at::Tensor& ws, const SynthesisOptions& options) const {
  const std::vector<at::Tensor> layer_ws = ws.unbind(1);
  at::Tensor x = (*input_)(layer_ws[0]);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const auto number = static_cast<int64_t>(i);
    const at::Tensor average =
        used_average(x, layer.magnitude_average(), options.magnitudes, number);
    x = layer(x.to(activation_type(layer.may_be_low())), layer_ws[i + 1], average);
  }
  return x.to(activation_type(false)) * config_.output_scale;
}

}  // namespace galette
