// SPDX-License-Identifier: Apache-2.0
#include "models/creps.h"

#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "models/architecture.h"
#include "models/json_args.h"

namespace galette {
namespace {

// The refinement blocks and the residual are clamped at this value whatever fc_clamp says.
constexpr double kFixedClamp = 256;

ModulatedFc::Config hidden(std::optional<double> clamp) {
  return {.demodulate = true, .act = {.activation = Activation::kLrelu, .gain = 1, .clamp = clamp}};
}

ModulatedFc::Config projection(std::optional<double> clamp) {
  return {.demodulate = false,
          .act = {.activation = Activation::kLinear, .gain = 1, .clamp = clamp}};
}

/// sin(2 pi f t + shift) for all channels: coords [n], freqs [C/2, r] -> [C, n, r].
at::Tensor fourier_features(const at::Tensor& coords, const at::Tensor& freqs) {
  // Phases reach hundreds of radians, where the order of these two products decides the last bits,
  // and they the grey levels of an image: this is the published order.
  const at::Tensor phase =
      (freqs.unsqueeze(1) * coords.view({1, coords.size(0), 1})) * (2 * std::numbers::pi);
  return at::cat({phase.sin(), (phase + std::numbers::pi / 2).sin()}, 0);
}

}  // namespace

CrepsConfig CrepsConfig::from_json(const nlohmann::json& args) {
  CrepsConfig c;
  c.take(args);
  c.biline_channels = args.value("biline_channels", c.biline_channels);
  c.rank = args.value("rank", c.rank);
  c.bandwidth = args.value("bandwidth", c.bandwidth);
  c.num_fp16_res = args.value("num_fp16_res", c.num_fp16_res);
  c.fc_clamp = number_or_null(args, "fc_clamp", c.fc_clamp);
  return c;
}

nlohmann::json CrepsConfig::to_json() const {
  nlohmann::json args = common_args();
  args.update({{"biline_channels", biline_channels},
               {"rank", rank},
               {"bandwidth", bandwidth},
               {"num_fp16_res", num_fp16_res},
               {"fc_clamp", number_or_null(fc_clamp)}});
  return args;
}

CrepsGenerator::Input::Input(const Scope& scope, const CrepsConfig& config)
    : channels(config.channels(4)),
      rank(config.rank),
      weight(scope.parameter("weight", {1, channels, 1, 2 * rank}, Init::normal())),
      freqs(scope.buffer("freqs", {1, channels / 2 * rank}, Init::normal(config.bandwidth))),
      coords(scope.buffer("coords", grid(config.img_resolution, at::kDouble)
                                        .view({1, config.img_resolution, 1, 1})
                                        .expand({1, config.img_resolution, 2, 1})
                                        .contiguous())),
      affine(scope / "affine", config.w_dim, channels * 2 * rank, {.bias_init = 1}) {}

at::Tensor CrepsGenerator::Input::operator()(const at::Tensor& w, const at::Tensor& rows,
                                             const at::Tensor& columns) const {
  const at::Tensor scale = affine(w).view({-1, channels, 1, 2 * rank}) *
                           (weight / std::sqrt(static_cast<double>(channels)));
  const at::Tensor f = freqs.view({channels / 2, rank});
  const at::Tensor row_line = fourier_features(rows, f) * scale.narrow(3, 0, rank);
  const at::Tensor column_line = fourier_features(columns, f) * scale.narrow(3, rank, rank);
  return at::cat({row_line.flatten(2), column_line.flatten(2)}, 2);
}

CrepsGenerator::Stage::Stage(const Scope& scope, const CrepsConfig& config, int64_t resolution)
    : may_be_low(resolution >= first_low_resolution(config.img_resolution, config.num_fp16_res)),
      fc0(resolution == 4
              ? std::nullopt
              : std::optional<ModulatedFc>(
                    std::in_place, scope / "fc0", config.channels(resolution / 2),
                    config.channels(resolution), config.w_dim, hidden(config.fc_clamp))),
      fc1(scope / "fc1", config.channels(resolution), config.channels(resolution), config.w_dim,
          hidden(config.fc_clamp)),
      to_residual(scope / "tores", config.channels(resolution), config.biline_channels,
                  config.w_dim, projection(config.fc_clamp)) {}

CrepsGenerator::Decoder::Decoder(const Scope& scope, int64_t channels) {
  const int64_t widths[] = {channels, 2 * channels, 4 * channels, 2 * channels, channels};
  for (int k = 0; k < 4; ++k) {
    layers.emplace_back(scope / std::to_string(k), widths[k], widths[k + 1],
                        FullyConnected::Config{.activation = Activation::kLrelu});
  }
}

std::vector<DecoderLayer> CrepsGenerator::Decoder::decoder_layers() const {
  std::vector<DecoderLayer> result;
  for (const FullyConnected& layer : layers) result.push_back(layer.decoder_layer());
  return result;
}

at::Tensor CrepsGenerator::Decoder::operator()(const at::Tensor& pixels, const at::Tensor& rows,
                                               const at::Tensor& columns) const {
  return line_decoder(pixels, rows, columns, decoder_layers());
}

CrepsGenerator::Refinement::Refinement(const Scope& scope, const CrepsConfig& config, int64_t in,
                                       int64_t out)
    : fc0(scope / "fc0", in, out, config.w_dim, hidden(kFixedClamp)),
      fc1(scope / "fc1", out, out, config.w_dim, hidden(kFixedClamp)),
      to_image(scope / "tores", out, config.img_channels, config.w_dim, projection(kFixedClamp)) {}

CrepsGenerator::CrepsGenerator(const CrepsConfig& config, at::TensorOptions options)
    : Generator(options),
      config_(config),
      num_ws_(2 * static_cast<int64_t>(std::lround(std::log2(config.img_resolution))) - 1) {
  TORCH_CHECK(config.img_resolution >= 8, "CREPS needs a resolution of at least 8");
  TORCH_CHECK(config.biline_channels > config.img_channels,
              "CREPS needs more bi-line channels than image channels");
  const Scope synthesis("synthesis", arena());
  const int64_t b = config.biline_channels;
  for (int64_t r = 4; r <= config.img_resolution; r *= 2) {
    const Scope scope = synthesis / fmt::format("b{}", r);
    if (r == 4) input_.emplace(scope / "input", config);
    stages_.emplace_back(scope, config, r);
  }
  for (int64_t r = 8; r <= config.img_resolution; r *= 2) {
    decoders_.emplace_back(synthesis / fmt::format("decoder_{}", r), b);
  }
  decoder_last_.emplace(synthesis / "decoder_last", b);
  decoder_img_.emplace(synthesis / "decoder_img", b, config.img_channels, FullyConnected::Config{});
  refinements_.emplace_back(synthesis / "block0", config, b, 4 * b);
  refinements_.emplace_back(synthesis / "block1", config, 4 * b, 2 * b);
  mapping_.emplace(Scope("mapping", arena()),
                   MappingNetwork::Config{config.z_dim, config.c_dim, config.w_dim,
                                          config.mapping_layers, true});
  arena().allocate();
}

at::Tensor CrepsGenerator::grid(int64_t n, at::TensorOptions options) {
  return at::linspace(0, 1, n, options);
}

at::Tensor CrepsGenerator::render(const at::Tensor& ws, const SynthesisOptions& /*options*/) const {
  const at::Tensor coords = input_->coords.view({-1, 2});
  return synthesize_at(ws, coords.select(1, 0).contiguous(), coords.select(1, 1).contiguous());
}

at::Tensor CrepsGenerator::synthesize_at(const at::Tensor& ws, const at::Tensor& rows,
                                         const at::Tensor& columns) const {
  return pixels(ws, lines(ws, rows, columns));
}

CrepsGenerator::Lines CrepsGenerator::lines(const at::Tensor& ws, const at::Tensor& rows,
                                            const at::Tensor& columns) const {
  const int64_t n = ws.size(0), h = rows.size(0), w = columns.size(0);
  const int64_t b = config_.biline_channels, rank = config_.rank;
  Lines result;
  const std::vector<at::Tensor> layer_ws = ws.unbind(1);
  at::Tensor x = (*input_)(layer_ws[0], rows, columns);
  x = stages_[0].fc1(x, layer_ws[1]);
  at::Tensor residual;
  for (size_t k = 1; k < stages_.size(); ++k) {
    // The input uses up a latent that the published numbering does not count: b8 starts at index 1,
    // and each step to the residual shares its latent with the next stage's fc0.
    const size_t first = 2 * k - 1;
    x = x.to(activation_type(stages_[k].may_be_low));
    x = (*stages_[k].fc0)(x, layer_ws[first]);
    x = stages_[k].fc1(x, layer_ws[first + 1]);
    const at::Tensor step =
        stages_[k].to_residual(x, layer_ws[first + 2]).to(activation_type(false));
    residual = residual.defined() ? residual + step : step;
    const std::vector<at::Tensor> parts = residual.split_with_sizes({h * rank, w * rank}, 2);
    result.rows.push_back(parts[0].reshape({n * b, h, rank}));
    result.columns.push_back(parts[1].reshape({n * b, w, rank}).transpose(1, 2));
  }
  return result;
}

at::Tensor CrepsGenerator::pixels(const at::Tensor& ws, const Lines& lines) const {
  const size_t last = lines.rows.size() - 1;
  const at::Tensor w = ws.select(1, num_ws_ - 1);
  at::Tensor x;
  for (size_t k = 0; k < last; ++k) x = decoders_[k + 1](x, lines.rows[k], lines.columns[k]);
  x = (*decoder_last_)(x, lines.rows[last], lines.columns[last]);
  const bool in_16_bits = activation_type(true) != activation_type(false);
  return (in_16_bits ? refine(x, w) : refine_at_once(x, w))
      .view({ws.size(0), config_.img_channels, lines.rows[0].size(1), lines.columns[0].size(2)});
}

at::Tensor CrepsGenerator::refine_at_once(const at::Tensor& features, const at::Tensor& w) const {
  std::vector<DecoderLayer> layers;
  std::vector<DecoderHead> heads{{decoder_img_->decoder_layer(), 0}};
  for (const Refinement& block : refinements_) {
    layers.push_back(block.fc0.decoder_layer(w));
    layers.push_back(block.fc1.decoder_layer(w));
    heads.push_back({block.to_image.decoder_layer(w), layers.size()});
  }
  // Lines of rank 0 add nothing to the features.
  const int64_t planes = features.size(0) * features.size(1);
  return line_decoder(features, features.new_empty({planes, 1, 0}),
                      features.new_empty({planes, 0, features.size(2)}), layers, heads);
}

at::Tensor CrepsGenerator::refine(const at::Tensor& features, const at::Tensor& w) const {
  at::Tensor image = decoder_img_->per_position(features);
  at::Tensor x = features.to(activation_type(true));
  for (const Refinement& block : refinements_) {
    x = block.fc1(block.fc0(x, w), w);
    image = image + block.to_image(x, w).to(image.scalar_type());
  }
  return image;
}

}  // namespace galette
