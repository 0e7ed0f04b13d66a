// SPDX-License-Identifier: Apache-2.0
#include "models/stylegan2.h"

#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "kernels/fir_filter.h"
#include "kernels/upfirdn2d.h"
#include "models/json_args.h"

namespace galette {

StyleGan2Config StyleGan2Config::from_json(const nlohmann::json& args) {
  StyleGan2Config c;
  c.take(args);
  c.architecture = architecture_from(args, c.architecture);
  c.num_fp16_res = args.value("num_fp16_res", c.num_fp16_res);
  c.conv_clamp = number_or_null(args, "conv_clamp", c.conv_clamp);
  return c;
}

nlohmann::json StyleGan2Config::to_json() const {
  nlohmann::json args = common_args();
  args.update({{"architecture", architecture_name(architecture)},
               {"num_fp16_res", num_fp16_res},
               {"conv_clamp", number_or_null(conv_clamp)}});
  return args;
}

StyleGan2Generator::Layer::Layer(const Scope& scope, const StyleGan2Config& network,
                                 const Config& config)
    : number(config.number),
      resolution(config.resolution),
      filter(scope.buffer("resample_filter", setup_filter({1, 3, 3, 1}))),
      conv(scope, config.in, config.out, network.w_dim,
           {.up = config.up,
            .act = {Activation::kLrelu, config.gain, network.conv_clamp},
            .filter = filter}),
      noise_strength(scope.parameter("noise_strength", {}, Init::constant(0))),
      noise_const(scope.buffer("noise_const", {resolution, resolution}, Init::normal())) {}

at::Tensor StyleGan2Generator::Layer::noise(const SynthesisOptions& options) const {
  switch (options.noise_mode) {
    case NoiseMode::constant:
      return noise_const * noise_strength;
    case NoiseMode::random:
      TORCH_CHECK(options.random_noise, "StyleGAN2: random noise was asked for, but none given");
      return options.random_noise(number, resolution) * noise_strength;
    case NoiseMode::none:
      break;
  }
  return {};
}

at::Tensor StyleGan2Generator::Layer::operator()(const at::Tensor& x,
                                                 const std::vector<at::Tensor>& ws,
                                                 const SynthesisOptions& options) const {
  return conv(x, ws[static_cast<size_t>(number)], noise(options));
}

StyleGan2Generator::Block::Block(const Scope& scope, const StyleGan2Config& config,
                                 int64_t resolution)
    : may_be_low(resolution >= first_low_resolution(config.img_resolution, config.num_fp16_res)),
      filter(scope.buffer("resample_filter", setup_filter({1, 3, 3, 1}))) {
  const bool first = resolution == 4;
  const int64_t out = config.channels(resolution);
  const int64_t in = first ? out : config.channels(resolution / 2);
  const bool residual = config.architecture == Architecture::resnet && !first;
  // 4 = 2^2 is block 0, whose conv1 is layer 0.
  const int64_t number = 2 * (std::countr_zero(static_cast<uint64_t>(resolution)) - 2);
  const double half = std::sqrt(0.5);
  if (!first) {
    conv0.emplace(scope / "conv0", config, Layer::Config{number - 1, in, out, resolution, 2, 1});
  }
  conv1.emplace(scope / "conv1", config,
                Layer::Config{number, out, out, resolution, 1, residual ? half : 1});
  if (config.architecture == Architecture::skip || resolution == config.img_resolution) {
    to_rgb.emplace(scope / "torgb", out, config.img_channels, config.w_dim,
                   ModulatedConv2d::Config{.kernel = 1,
                                           .demodulate = false,
                                           .act = {Activation::kLinear, 1, config.conv_clamp},
                                           .filter = {}});
  }
  if (residual) {
    skip.emplace(
        scope / "skip", in, out,
        Conv2dLayer::Config{
            .kernel = 1, .up = 2, .bias = false, .act = {Activation::kLinear, half, std::nullopt}});
  }
}

at::Tensor StyleGan2Generator::Block::operator()(const at::Tensor& x,
                                                 const std::vector<at::Tensor>& ws,
                                                 const SynthesisOptions& options) const {
  const at::Tensor y = (*conv1)(conv0 ? (*conv0)(x, ws, options) : x, ws, options);
  return skip ? (*skip)(x) + y : y;
}

StyleGan2Generator::StyleGan2Generator(const StyleGan2Config& config, at::TensorOptions options)
    : Generator(options), config_(config) {
  TORCH_CHECK(config.img_resolution >= 4 &&
                  std::has_single_bit(static_cast<uint64_t>(config.img_resolution)),
              "StyleGAN2 needs a resolution that is a power of two from 4 on");
  const Scope synthesis("synthesis", arena());
  const int64_t c4 = config.channels(4);
  const_ = (synthesis / "b4").parameter("const", {c4, 4, 4}, Init::normal());
  for (int64_t r = 4; r <= config.img_resolution; r *= 2) {
    blocks_.emplace_back(synthesis / fmt::format("b{}", r), config, r);
  }
  mapping_.emplace(Scope("mapping", arena()),
                   MappingNetwork::Config{config.z_dim, config.c_dim, config.w_dim,
                                          config.mapping_layers, true});
  arena().allocate();
}

at::Tensor StyleGan2Generator::render(const at::Tensor& ws, const SynthesisOptions& options) const {
  const std::vector<at::Tensor> layer_ws = ws.unbind(1);
  at::Tensor image, x = const_.unsqueeze(0).expand({ws.size(0), -1, -1, -1});
  for (const Block& block : blocks_) {
    x = block(as_activations(x, block.may_be_low), layer_ws, options);
    if (!block.to_rgb) continue;
    // The step to the image shares its w with the next block's first layer.
    const at::Tensor& w = layer_ws[static_cast<size_t>(block.conv1->number) + 1];
    const at::Tensor step = as_activations((*block.to_rgb)(x, w), false);
    image = image.defined() ? upsample2d(image, block.filter) + step : step;
  }
  return image;
}

}  // namespace galette
