// SPDX-License-Identifier: Apache-2.0
#include "models/discriminator.h"

#include <cmath>

#include <fmt/format.h>

#include "kernels/fir_filter.h"
#include "kernels/minibatch_std.h"
#include "kernels/upfirdn2d.h"
#include "models/json_args.h"

namespace galette {

DiscriminatorConfig DiscriminatorConfig::from_json(const nlohmann::json& args) {
  DiscriminatorConfig c;
  c.c_dim = args.value("c_dim", c.c_dim);
  c.img_resolution = args.value("img_resolution", c.img_resolution);
  c.img_channels = args.value("img_channels", c.img_channels);
  c.channel_base = args.value("channel_base", c.channel_base);
  c.channel_max = args.value("channel_max", c.channel_max);
  c.architecture = architecture_from(args, c.architecture);
  c.num_fp16_res = args.value("num_fp16_res", c.num_fp16_res);
  c.conv_clamp = number_or_null(args, "conv_clamp", c.conv_clamp);
  c.cmap_dim = number_or_null(args, "cmap_dim", c.cmap_dim);
  const auto sub = [&](const char* name) { return args.value(name, nlohmann::json::object()); };
  c.freeze_layers = sub("block_kwargs").value("freeze_layers", c.freeze_layers);
  c.mbstd_group_size = sub("epilogue_kwargs").value("mbstd_group_size", c.mbstd_group_size);
  c.mbstd_num_channels = sub("epilogue_kwargs").value("mbstd_num_channels", c.mbstd_num_channels);
  c.mapping_layers = sub("mapping_kwargs").value("num_layers", c.mapping_layers);
  return c;
}

nlohmann::json DiscriminatorConfig::to_json() const {
  return {{"c_dim", c_dim},
          {"img_resolution", img_resolution},
          {"img_channels", img_channels},
          {"architecture", architecture_name(architecture)},
          {"channel_base", channel_base},
          {"channel_max", channel_max},
          {"num_fp16_res", num_fp16_res},
          {"conv_clamp", number_or_null(conv_clamp)},
          {"cmap_dim", number_or_null(cmap_dim)},
          {"block_kwargs", {{"freeze_layers", freeze_layers}}},
          {"epilogue_kwargs",
           {{"mbstd_group_size", mbstd_group_size}, {"mbstd_num_channels", mbstd_num_channels}}},
          {"mapping_kwargs", {{"num_layers", mapping_layers}}}};
}

StyleGan2Discriminator::Block::Block(const Scope& scope, const DiscriminatorConfig& config,
                                     int64_t resolution, int64_t& next_layer)
    : may_be_low(resolution >= first_low_resolution(config.img_resolution, config.num_fp16_res)),
      filter(scope.buffer("resample_filter", setup_filter({1, 3, 3, 1}))) {
  const int64_t in = config.channels(resolution), out = config.channels(resolution / 2);
  // Layers are numbered in the order fromrgb, conv0, conv1, skip; the first ones may be frozen.
  const auto layer = [&](const char* name) {
    return (scope / name).frozen(next_layer++ < config.freeze_layers);
  };
  const ActivationConfig lrelu{Activation::kLrelu, 1, config.conv_clamp};
  const bool residual = config.architecture == Architecture::resnet;
  const double half = std::sqrt(0.5);
  if (resolution == config.img_resolution || config.architecture == Architecture::skip) {
    from_rgb.emplace(layer("fromrgb"), config.img_channels, in,
                     Conv2dLayer::Config{.kernel = 1, .act = lrelu});
  }
  conv0.emplace(layer("conv0"), in, in, Conv2dLayer::Config{.act = lrelu});
  conv1.emplace(
      layer("conv1"), in, out,
      Conv2dLayer::Config{.down = 2,
                          .act = {Activation::kLrelu, residual ? half : 1, config.conv_clamp}});
  if (residual) {
    skip.emplace(layer("skip"), in, out,
                 Conv2dLayer::Config{.kernel = 1,
                                     .down = 2,
                                     .bias = false,
                                     .act = {Activation::kLinear, half, std::nullopt}});
  }
}

at::Tensor StyleGan2Discriminator::Block::operator()(const at::Tensor& x) const {
  const at::Tensor y = (*conv1)((*conv0)(x));
  return skip ? (*skip)(x) + y : y;
}

StyleGan2Discriminator::StyleGan2Discriminator(const DiscriminatorConfig& config,
                                               at::TensorOptions options)
    : Discriminator(options), config_(config) {
  TORCH_CHECK(config.img_resolution >= 8, "the discriminator needs a resolution of at least 8");
  const Scope root("", arena());
  int64_t next_layer = 0;
  for (int64_t r = config.img_resolution; r > 4; r /= 2) {
    blocks_.emplace_back(root / fmt::format("b{}", r), config, r, next_layer);
  }
  const Scope b4 = root / "b4";
  const int64_t c4 = config.channels(4);
  const int64_t cmap_dim = config.c_dim > 0 ? config.cmap_dim.value_or(c4) : 0;
  const ActivationConfig lrelu{Activation::kLrelu, 1, config.conv_clamp};
  if (config.architecture == Architecture::skip) {
    from_rgb_.emplace(
        b4 / "fromrgb", config.img_channels, c4,
        Conv2dLayer::Config{.kernel = 1, .act = {Activation::kLrelu, 1, std::nullopt}});
  }
  conv_.emplace(b4 / "conv", c4 + config.mbstd_num_channels, c4, Conv2dLayer::Config{.act = lrelu});
  fc_.emplace(b4 / "fc", c4 * 16, c4, FullyConnected::Config{.activation = Activation::kLrelu});
  out_.emplace(b4 / "out", c4, std::max<int64_t>(cmap_dim, 1), FullyConnected::Config{});
  if (config.c_dim > 0) {
    mapping_.emplace(root / "mapping", MappingNetwork::Config{0, config.c_dim, cmap_dim,
                                                              config.mapping_layers, false});
  }
  arena().allocate();
}

at::Tensor StyleGan2Discriminator::epilogue(const at::Tensor& features,
                                            const at::Tensor& image) const {
  at::Tensor x = from_rgb_ ? features + (*from_rgb_)(image) : features;
  if (config_.mbstd_num_channels > 0) {
    x = append_minibatch_std(x, config_.mbstd_group_size, config_.mbstd_num_channels);
  }
  return (*out_)((*fc_)((*conv_)(x).flatten(1)));
}

at::Tensor StyleGan2Discriminator::logits(const at::Tensor& img, const at::Tensor& c) const {
  at::Tensor x, image = img;
  for (const Block& block : blocks_) {
    if (x.defined()) x = as_activations(x, block.may_be_low);
    if (block.from_rgb) {
      const at::Tensor y = (*block.from_rgb)(as_activations(image, block.may_be_low));
      x = x.defined() ? x + y : y;
    }
    if (from_rgb_) image = downsample2d(image, block.filter);
    x = block(x);
  }
  x = epilogue(as_activations(x, false), image);
  if (!mapping_) return x;
  const at::Tensor cmap = (*mapping_)(at::Tensor(), c);
  return (x * cmap).sum({1}, true) / std::sqrt(static_cast<double>(cmap.size(1)));
}

}  // namespace galette
