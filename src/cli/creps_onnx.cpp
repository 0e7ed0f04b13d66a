// SPDX-License-Identifier: Apache-2.0
#include "cli/creps_onnx.h"

#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <optional>

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "cli/onnx_graph.h"

namespace galette {
namespace {

using Value = OnnxGraph::Value;

constexpr double kEpsilon = 1e-8;
constexpr double kMappingRate = 0.01;  // learning-rate multiplier of the mapping's layers
constexpr double kRefinementClamp = 256;
constexpr const char* kDescription =
    "CREPS generator. Inputs: latents z, coordinates of rows and columns (k / (n - 1) for pixel k "
    "of n), truncation_psi. Output: image, -1 to 1.";

/// Describes the parts of the network in the order of models/creps.cpp, whose formulas these are.
class CrepsExport {
 public:
  explicit CrepsExport(const CrepsGenerator& g) : config_(CrepsConfig::from_json(g.init_args())) {
    for (const auto* entries : {&g.arena().parameters(), &g.arena().buffers()})
      for (const ArenaEntry& entry : *entries) tensors_[entry.name] = entry.tensor.detach();
  }

  std::string model() {
    const at::NoGradGuard no_grad;
    const Value z = graph_.input("z", {"batch", config_.z_dim});
    std::optional<Value> c;
    if (config_.c_dim > 0) c = graph_.input("c", {"batch", config_.c_dim});
    rows_ = graph_.input("rows", {"height"});
    columns_ = graph_.input("columns", {"width"});
    w_ = truncated(mapped(z, c));
    const Value image = refined(features());
    graph_.output("image", to_image_shape(image),
                  {"batch", config_.img_channels, "height", "width"});
    return graph_.model(GALETTE_VERSION, kDescription);
  }

 private:
  Value constant(const std::string& name, double factor = 1) {
    return graph_.constant(name, tensors_.at(name) * factor);
  }

  /// `rate` is the learning-rate multiplier; `gain` is applied to the result.
  Value fully_connected(const std::string& name, const Value& x, double rate = 1, double gain = 1) {
    const double fan_in = static_cast<double>(tensors_.at(name + ".weight").size(1));
    return graph_.linear(x, constant(name + ".weight", gain * rate / std::sqrt(fan_in)),
                         constant(name + ".bias", gain * rate));
  }

  Value normalized(const Value& x) {
    const Value energy =
        graph_.op("ReduceMean", {graph_.multiply(x, x)}, {{"axes", std::vector<int64_t>{1}}});
    return graph_.multiply(x, graph_.inverse_root(energy, kEpsilon));
  }

  Value mapped(const Value& z, const std::optional<Value>& c) {
    graph_.enter("mapping");
    Value x = normalized(z);
    if (c) {
      graph_.enter("mapping.embed");
      x = graph_.concat({x, normalized(fully_connected("mapping.embed", *c))}, 1);
    }
    for (int64_t k = 0; k < config_.mapping_layers; ++k) {
      const std::string name = fmt::format("mapping.fc{}", k);
      graph_.enter(name);
      x = graph_.leaky_relu(fully_connected(name, x, kMappingRate));
    }
    return x;
  }

  Value truncated(const Value& w) {
    if (!tensors_.at("mapping.w_avg").isfinite().all().item<bool>()) return w;
    graph_.enter("truncation");
    const Value psi = graph_.optional_input("truncation_psi", 1);
    const Value average = constant("mapping.w_avg");
    return graph_.add(average, graph_.multiply(psi, graph_.op("Sub", {w, average})));
  }

  /// Per position: x [N, I, P] -> [N, O, P].
  Value modulated(const std::string& name, const Value& x, bool hidden,
                  std::optional<double> clamp) {
    graph_.enter(name);
    const at::Tensor& stored = tensors_.at(name + ".weight");
    const double gain = hidden ? 1 : 1 / std::sqrt(static_cast<double>(stored.size(1)));
    const Value style =
        graph_.reshape(fully_connected(name + ".affine", w_, 1, gain), {0, 1, stored.size(1)});
    Value weight = graph_.multiply(constant(name + ".weight"), style);  // [N, O, I]
    if (hidden) {
      const Value energy =
          graph_.op("ReduceSumSquare", {weight}, {{"axes", std::vector<int64_t>{2}}});
      weight = graph_.multiply(weight, graph_.inverse_root(energy, kEpsilon));
    }
    const Value bias = graph_.constant(name + ".bias", tensors_.at(name + ".bias").unsqueeze(1));
    Value y = graph_.add(graph_.op("MatMul", {weight, x}), bias);
    if (hidden) y = graph_.leaky_relu(y);
    return clamp ? graph_.clamp(y, *clamp) : y;
  }

  /// sin(2 pi f t + shift) for all channels: [n] -> [C, n, r].
  Value fourier_features(const Value& coordinates, const Value& frequencies) {
    const Value phase = graph_.multiply(frequencies, graph_.reshape(coordinates, {1, -1, 1}));
    const Value shifted = graph_.add(phase, graph_.scalar(std::numbers::pi / 2));
    return graph_.concat({graph_.op("Sin", {phase}), graph_.op("Sin", {shifted})}, 0);
  }

  /// The lines that stage b4 starts from: [N, C, (h+w)*r].
  Value input() {
    const std::string name = "synthesis.b4.input";
    graph_.enter(name);
    const int64_t channels = config_.channels(4), rank = config_.rank;
    const Value frequencies = graph_.constant(
        name + ".freqs",
        2 * std::numbers::pi * tensors_.at(name + ".freqs").view({channels / 2, 1, rank}));
    const Value scale = graph_.multiply(
        graph_.reshape(fully_connected(name + ".affine", w_), {0, channels, 1, 2 * rank}),
        constant(name + ".weight", 1 / std::sqrt(static_cast<double>(channels))));
    const auto line = [&](const Value& coordinates, int64_t slot) {
      const Value part =
          graph_.slice(scale, 3, graph_.integers({slot}), graph_.integers({slot + rank}));
      return graph_.reshape(graph_.multiply(fourier_features(coordinates, frequencies), part),
                            {0, channels, -1});
    };
    return graph_.concat({line(rows_, 0), line(columns_, rank)}, 2);
  }

  /// Half the product of row and column lines: [N, B, (h+w)*r] -> [N, B, h*w].
  Value product(const Value& lines) {
    const int64_t b = config_.biline_channels, rank = config_.rank;
    const Value rows = graph_.slice(lines, 2, graph_.integers({0}), row_slots_);
    const Value columns =
        graph_.slice(lines, 2, row_slots_, graph_.integers({std::numeric_limits<int64_t>::max()}));
    const Value left = graph_.multiply(graph_.reshape(rows, {0, b, -1, rank}), graph_.scalar(0.5));
    const Value right = graph_.op("Transpose", {graph_.reshape(columns, {0, b, -1, rank})},
                                  {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
    return graph_.reshape(graph_.op("MatMul", {left, right}), {0, b, -1});
  }

  Value decoded(const std::string& name, Value pixels) {
    for (int k = 0; k < 4; ++k) {
      const std::string layer = fmt::format("{}.{}", name, k);
      graph_.enter(layer);
      pixels = graph_.leaky_relu(per_pixel(layer, pixels));
    }
    return pixels;
  }

  Value per_pixel(const std::string& name, const Value& x) {
    const at::Tensor& weight = tensors_.at(name + ".weight");
    const double fan_in = static_cast<double>(weight.size(1));
    const Value bias = graph_.constant(name + ".bias", tensors_.at(name + ".bias").unsqueeze(1));
    return graph_.add(graph_.op("MatMul", {constant(name + ".weight", 1 / std::sqrt(fan_in)), x}),
                      bias);
  }

  /// The pixels' features after all stages: [N, B, h*w].
  Value features() {
    graph_.enter("coordinates");
    row_slots_ = graph_.multiply(graph_.op("Shape", {rows_}), graph_.integers({config_.rank}));
    Value x = modulated("synthesis.b4.fc1", input(), true, config_.fc_clamp);
    Value residual, pixels;
    for (int64_t r = 8; r <= config_.img_resolution; r *= 2) {
      const std::string stage = fmt::format("synthesis.b{}", r);
      x = modulated(stage + ".fc0", x, true, config_.fc_clamp);
      x = modulated(stage + ".fc1", x, true, config_.fc_clamp);
      const Value step = modulated(stage + ".tores", x, false, config_.fc_clamp);
      residual = residual.empty() ? step : graph_.add(residual, step);
      const Value lines = product(residual);
      pixels = r == 8 ? lines
                      : graph_.add(decoded(fmt::format("synthesis.decoder_{}", r), pixels), lines);
    }
    return decoded("synthesis.decoder_last", pixels);
  }

  Value refined(const Value& features) {
    graph_.enter("synthesis.decoder_img");
    Value image = per_pixel("synthesis.decoder_img", features);
    Value x = features;
    for (int k = 0; k < 2; ++k) {
      const std::string block = fmt::format("synthesis.block{}", k);
      x = modulated(block + ".fc0", x, true, kRefinementClamp);
      x = modulated(block + ".fc1", x, true, kRefinementClamp);
      image = graph_.add(image, modulated(block + ".tores", x, false, kRefinementClamp));
    }
    return image;
  }

  /// [N, channels, h*w] -> [N, channels, h, w].
  Value to_image_shape(const Value& image) {
    graph_.enter("image");
    const Value shape = graph_.concat({graph_.integers({0, config_.img_channels}),
                                       graph_.op("Shape", {rows_}), graph_.op("Shape", {columns_})},
                                      0);
    return graph_.op("Reshape", {image, shape});
  }

  CrepsConfig config_;
  std::map<std::string, at::Tensor> tensors_;
  OnnxGraph graph_;
  Value rows_, columns_, w_;
  Value row_slots_;  ///< h*r, as integers [1]
};

}  // namespace

std::string creps_onnx(const CrepsGenerator& g) {
  return CrepsExport(g).model();
}

}  // namespace galette
