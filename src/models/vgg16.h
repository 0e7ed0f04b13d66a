// SPDX-License-Identifier: Apache-2.0
// VGG16 (Simonyan and Zisserman 2015): its features for precision and recall, and the maps that
// LPIPS (Zhang et al. 2018) compares. Tensors by the names of the usual ImageNet weights
// (features.N.*, classifier.{0,3}.*) or of the published detector (layers.conv1 to conv13,
// layers.fc1, layers.fc2). Pixels are (x / 255 - mean) / deviation of ImageNet.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "models/detector.h"
#include "models/fixed_layers.h"

namespace galette {

/// The thirteen convolutions, each with a rectifier.
class Vgg16Maps {
 public:
  explicit Vgg16Maps(const WeightReader& weights);

  /// Images of three channels -> the maps after convolutions 2, 4, 7, 10 and 13, which have 64,
  /// 128, 256, 512 and 512 channels and 1, 1/2, 1/4, 1/8 and 1/16 of the size (>= 16).
  /// Differentiable.
  std::vector<at::Tensor> operator()(const at::Tensor& images) const;

  static constexpr std::array<int64_t, 5> kChannels{64, 128, 256, 512, 512};

 private:
  std::array<std::vector<FixedConv>, 5> groups_;
};

class Vgg16 : public Detector {
 public:
  /// As Inception's constructor.
  explicit Vgg16(const WeightReader& weights, std::string digest = "");

  static bool is_in(const WeightMap& weights) {
    return weights.contains("features.0.weight") || weights.contains("layers.conv1.weight");
  }

  /// [n, 4096], after the second fully connected layer and its rectifier. Images are resized to
  /// 224x224 as TensorFlow did.
  at::Tensor features(const at::Tensor& images) const override;
  int64_t feature_dim() const override { return 4096; }

 private:
  at::Tensor compute(const at::Tensor& images) const;

  Vgg16Maps maps_;
  at::Tensor fc1_, bias1_, fc2_, bias2_;
};

class VggLpips : public Lpips {
 public:
  /// `heads` has the weights of channels, lpips0 to lpips4 or lin0 to lin4.model.1.weight. Throws
  /// InputError as the others do, and for heads below zero.
  VggLpips(const WeightReader& vgg, const WeightReader& heads, std::string digest = "");

  static bool has_heads(const WeightMap& weights) {
    return weights.contains("lpips0") || weights.contains("lin0.model.1.weight");
  }

  at::Tensor embed(const at::Tensor& images) const override;
  const std::string& digest() const override { return digest_; }

 private:
  Vgg16Maps maps_;
  std::vector<at::Tensor> roots_;  // square roots of the heads, [1, C, 1, 1]
  std::string digest_;
};

}  // namespace galette
