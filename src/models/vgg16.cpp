// SPDX-License-Identifier: Apache-2.0
#include "models/vgg16.h"

#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace galette {
namespace {

constexpr int64_t kSize = 224;
constexpr int64_t kMinSize = 16;
constexpr int64_t kHidden = 4096;
constexpr int64_t kLastSize = 7;
constexpr std::array<int, 5> kGroups{2, 2, 3, 3, 3};

bool has_imagenet_names(const WeightReader& weights) {
  return weights.has("features.0.weight");
}

at::Tensor normalized(const at::Tensor& rgb) {
  const at::Tensor mean = at::tensor({0.485, 0.456, 0.406}, rgb.options()).view({1, 3, 1, 1});
  const at::Tensor deviation = at::tensor({0.229, 0.224, 0.225}, rgb.options()).view({1, 3, 1, 1});
  return (rgb / 255 - mean) / deviation;
}

at::Tensor max_pool(const at::Tensor& x) {
  return at::max_pool2d(x, 2, 2);
}

/// Maps of unit length at every pixel. A constant below the square root in place of one beside the
/// length: the same to 1e-10, and its derivative is finite where all channels are zero.
at::Tensor unit_length(const at::Tensor& map) {
  constexpr double kEpsilon = 1e-10;
  return map / (map.square().sum(1, true) + kEpsilon * kEpsilon).sqrt();
}

}  // namespace

Vgg16Maps::Vgg16Maps(const WeightReader& weights) {
  const bool imagenet = has_imagenet_names(weights);
  int64_t in = 3;
  int number = 1, place = 0;  // in the list of layers, where rectifiers and pools count too
  for (size_t g = 0; g < groups_.size(); ++g, ++place) {
    for (int i = 0; i < kGroups[g]; ++i, ++number, place += 2) {
      const std::string name =
          imagenet ? fmt::format("features.{}", place) : fmt::format("layers.conv{}", number);
      groups_[g].push_back(plain_conv(weights, name, {in, kChannels[g], 3, 3, 1, {1, 1}}));
      in = kChannels[g];
    }
  }
}

std::vector<at::Tensor> Vgg16Maps::operator()(const at::Tensor& images) const {
  std::vector<at::Tensor> maps;
  at::Tensor x = normalized(images);
  for (const auto& group : groups_) {
    if (!maps.empty()) x = max_pool(x);
    for (const FixedConv& conv : group) x = conv(x).relu_();
    maps.push_back(x);
  }
  return maps;
}

Vgg16::Vgg16(const WeightReader& weights, std::string digest)
    : Detector("vgg16", std::move(digest)), maps_(weights) {
  const bool imagenet = has_imagenet_names(weights);
  const std::string fc1 = imagenet ? "classifier.0" : "layers.fc1";
  const std::string fc2 = imagenet ? "classifier.3" : "layers.fc2";
  fc1_ =
      weights.get(fc1 + ".weight", {kHidden, Vgg16Maps::kChannels.back() * kLastSize * kLastSize});
  bias1_ = weights.get(fc1 + ".bias", {kHidden});
  fc2_ = weights.get(fc2 + ".weight", {kHidden, kHidden});
  bias2_ = weights.get(fc2 + ".bias", {kHidden});
}

at::Tensor Vgg16::compute(const at::Tensor& images) const {
  const at::Tensor rgb = resize_tensorflow(as_rgb(images, fc1_.options()), kSize);
  // The last map has channels last in memory; the layers want channels, rows, columns.
  const at::Tensor x = max_pool(maps_(rgb).back()).contiguous().flatten(1);
  return at::linear(at::linear(x, fc1_, bias1_).relu_(), fc2_, bias2_).relu_();
}

at::Tensor Vgg16::features(const at::Tensor& images) const {
  return in_pieces(images, [this](const at::Tensor& piece) { return compute(piece); });
}

VggLpips::VggLpips(const WeightReader& vgg, const WeightReader& heads, std::string digest)
    : maps_(vgg), digest_(std::move(digest)) {
  for (size_t i = 0; i < Vgg16Maps::kChannels.size(); ++i) {
    const int64_t channels = Vgg16Maps::kChannels[i];
    const std::string name = fmt::format("lpips{}", i);
    const at::Tensor head =
        heads.has(name) ? heads.get(name, {channels, 1, 1})
                        : heads.get(fmt::format("lin{}.model.1.weight", i), {1, channels, 1, 1});
    if (head.lt(0).any().item<bool>())
      heads.fail(fmt::format("the head of map {} has weights below zero", i));
    roots_.push_back(head.sqrt().view({1, channels, 1, 1}));
  }
}

at::Tensor VggLpips::embed(const at::Tensor& images) const {
  TORCH_CHECK(images.size(2) >= kMinSize && images.size(3) >= kMinSize,
              "LPIPS needs images of at least ", kMinSize, " x ", kMinSize, " pixels, not ",
              images.sizes());
  const std::vector<at::Tensor> maps = maps_(as_rgb(images, roots_[0].options()));
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < maps.size(); ++i) {
    const double pixels = static_cast<double>(maps[i].size(2) * maps[i].size(3));
    parts.push_back((unit_length(maps[i]) * (roots_[i] / std::sqrt(pixels))).flatten(1));
  }
  return at::cat(parts, 1);
}

}  // namespace galette
