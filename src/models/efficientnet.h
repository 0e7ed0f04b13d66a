// SPDX-License-Identifier: Apache-2.0
// EfficientNet-Lite0 (Tan and Le 2019; the Lite variant has no squeeze-and-excitation and clamps
// activations to 0..6), trained on ImageNet. Freely published weights exist, so its features give a
// Frechet distance where Inception's weights cannot be had; that distance is no FID. Tensors by the
// names of the PyTorch port: _conv_stem, _blocks.K._{expand, depthwise, project}_conv, _conv_head
// with .weight, and _bnK with .{weight, bias, running_mean, running_var}.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/detector.h"
#include "models/fixed_layers.h"

namespace galette {

class EfficientNetLite : public Detector {
 public:
  /// As Inception's constructor.
  explicit EfficientNetLite(const WeightReader& weights, std::string digest = "");

  static bool is_in(const WeightMap& weights) { return weights.contains("_conv_stem.weight"); }

  /// [n, 1280], the mean over the last 7x7 positions. Images are resized to 224x224, bilinearly
  /// with pixel centres at half coordinates and without antialiasing, and mapped by (x - 127) /
  /// 128.
  at::Tensor features(const at::Tensor& images) const override;
  int64_t feature_dim() const override { return 1280; }

 private:
  /// Inverted residual: 1x1 to more channels, each by itself, 1x1 to fewer.
  struct Block {
    std::optional<FixedConv> expand;
    FixedConv depthwise, project;
    bool residual = false;
  };

  void add_block(const WeightReader& weights, const FixedConv::Shape& spatial, int64_t out);
  static at::Tensor run(const Block& block, const at::Tensor& x);
  at::Tensor compute(const at::Tensor& images) const;

  FixedConv stem_, head_;
  std::vector<Block> blocks_;
};

}  // namespace galette
