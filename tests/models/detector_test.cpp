// SPDX-License-Identifier: Apache-2.0
// Detector networks: resizing, VGG16 and LPIPS against their definitions with random weights, and
// what is said of weights that do not fit. Inception is in the golden check, EfficientNet in the
// tests of metrics, with its published weights.
#include "models/detector.h"

#include <cmath>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/fixed_layers.h"
#include "models/vgg16.h"
#include "tests/support/input_error.h"

namespace galette {
namespace {

using galette::testing::error_of;
using ::testing::HasSubstr;

/// Places of the convolutions in the list of layers of the usual weights, and where pools follow.
constexpr std::array<int, 13> kPlaces{0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28};
constexpr std::array<bool, 13> kLastOfGroup{false, true,  false, true,  false, false, true,
                                            false, false, true,  false, false, true};

/// VGG16's convolutions with weights that keep the size of activations.
WeightMap make_convolutions() {
  at::manual_seed(1);
  constexpr std::array<int64_t, 13> kOut{64,  64,  128, 128, 256, 256, 256,
                                         512, 512, 512, 512, 512, 512};
  WeightMap weights;
  int64_t in = 3;
  for (size_t i = 0; i < kPlaces.size(); ++i) {
    const std::string name = fmt::format("features.{}.", kPlaces[i]);
    const double gain = std::sqrt(2.0 / (9.0 * static_cast<double>(in)));
    weights[name + "weight"] = at::randn({kOut[i], in, 3, 3}) * gain;
    weights[name + "bias"] = at::randn({kOut[i]}) * 0.1;
    in = kOut[i];
  }
  return weights;
}

const WeightMap& random_convolutions() {
  static const WeightMap weights = make_convolutions();
  return weights;
}

WeightMap random_heads() {
  WeightMap heads;
  for (size_t i = 0; i < Vgg16Maps::kChannels.size(); ++i)
    heads[fmt::format("lin{}.model.1.weight", i)] = at::rand({1, Vgg16Maps::kChannels[i], 1, 1});
  return heads;
}

/// The same tensors under the names of the published detector.
WeightMap with_detector_names(const WeightMap& vgg, const WeightMap& heads) {
  WeightMap weights;
  for (size_t i = 0; i < kPlaces.size(); ++i)
    for (const char* kind : {"weight", "bias"})
      weights[fmt::format("layers.conv{}.{}", i + 1, kind)] =
          vgg.at(fmt::format("features.{}.{}", kPlaces[i], kind));
  for (int i = 0; i < 5; ++i)
    weights[fmt::format("lpips{}", i)] =
        heads.at(fmt::format("lin{}.model.1.weight", i)).squeeze(0);
  return weights;
}

/// The five maps, layer by layer, in the type of the images (0 to 255).
std::vector<at::Tensor> expected_maps(const WeightMap& weights, const at::Tensor& images) {
  const auto constants = [&](std::initializer_list<double> values) {
    return at::tensor(std::vector<double>(values), images.options()).view({1, 3, 1, 1});
  };
  at::Tensor x =
      (images / 255 - constants({0.485, 0.456, 0.406})) / constants({0.229, 0.224, 0.225});
  std::vector<at::Tensor> maps;
  for (size_t i = 0; i < kPlaces.size(); ++i) {
    const std::string name = fmt::format("features.{}.", kPlaces[i]);
    x = at::conv2d(x, weights.at(name + "weight").to(x.scalar_type()),
                   weights.at(name + "bias").to(x.scalar_type()), 1, 1)
            .relu();
    if (!kLastOfGroup[i]) continue;
    maps.push_back(x);
    x = at::max_pool2d(x, 2, 2);
  }
  return maps;
}

double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual.to(at::kDouble) - expected).abs().max() / expected.abs().max()).item<double>();
}

TEST(DetectorInput, LegacyResizeReadsPixelJAtJTimesTheRatio) {
  const at::Tensor ramp = at::arange(64, at::kFloat).view({1, 1, 1, 64}).expand({1, 3, 64, 64});
  const at::Tensor wide = resize_tensorflow(ramp, 299)[0][0][0];
  for (const int64_t j : {0, 1, 100, 294, 298})
    EXPECT_NEAR(wide[j].item<double>(), std::min(static_cast<double>(j) * 64 / 299, 63.0), 1e-5);
  // Rows as columns, and nothing changes at the size itself.
  EXPECT_TRUE(resize_tensorflow(ramp.transpose(2, 3), 299)
                  .equal(resize_tensorflow(ramp, 299).transpose(2, 3)));
  EXPECT_TRUE(resize_tensorflow(ramp, 64).equal(ramp));
  EXPECT_EQ(resize_tensorflow(at::rand({2, 3, 500, 20}), 299).sizes(),
            at::IntArrayRef({2, 3, 299, 299}));
}

TEST(DetectorInput, GreyImagesGetThreeChannels) {
  const at::Tensor grey = at::randint(0, 256, {2, 1, 4, 4}, at::kByte);
  EXPECT_TRUE(as_rgb(grey, at::kFloat).equal(at::cat({grey, grey, grey}, 1).to(at::kFloat)));
  EXPECT_THROW(as_rgb(at::zeros({2, 4, 4, 4}), at::kFloat), c10::Error);
}

// The columns of the first layer are a pattern along its input, so that any other order of
// channels, rows and columns gives another sum; the second layer passes everything on.
TEST(Vgg16, FeaturesAreThoseOfItsDefinition) {
  WeightMap weights = random_convolutions();
  const int64_t inputs = 512 * 7 * 7, hidden = 4096;
  const at::Tensor pattern = at::arange(inputs, at::kFloat).remainder(97) / 97 - 0.4;
  weights["classifier.0.weight"] = pattern.expand({hidden, inputs});
  weights["classifier.0.bias"] = at::arange(hidden, at::kFloat);
  weights["classifier.3.weight"] = at::eye(hidden);
  weights["classifier.3.bias"] = at::zeros({hidden});
  const at::Tensor images = at::randint(0, 256, {1, 3, 224, 224}, at::kByte);
  const at::Tensor features = Vgg16({weights, at::kFloat, "f"}).features(images);
  const at::Tensor last =
      at::max_pool2d(expected_maps(weights, images.to(at::kFloat)).back(), 2, 2);
  const at::Tensor sum = (last.flatten().to(at::kDouble) * pattern).sum();
  const at::Tensor expected = (sum + at::arange(hidden, at::kDouble)).relu().view({1, hidden});
  ASSERT_GT((expected > 0).sum().item<int64_t>(), hidden / 2);
  // Thirteen layers in float32.
  EXPECT_LT(relative_error(features, expected), 1e-4);
}

TEST(Lpips, SquaredDistancesAreThoseOfItsDefinition) {
  const WeightMap& vgg = random_convolutions();
  const WeightMap heads = random_heads();
  const at::Tensor images = at::rand({2, 3, 32, 48}, at::kDouble) * 255;
  const auto maps = expected_maps(vgg, images);
  double expected = 0;
  for (size_t i = 0; i < maps.size(); ++i) {
    const at::Tensor unit = maps[i] / (maps[i].square().sum(1, true).sqrt() + 1e-10);
    const at::Tensor head = heads.at(fmt::format("lin{}.model.1.weight", i)).to(at::kDouble);
    expected += (head * (unit[0] - unit[1]).square()).sum(1).mean().item<double>();
  }
  const auto distance = [&](const at::Tensor& rows) {
    return (rows[0] - rows[1]).square().sum().item<double>();
  };
  const WeightMap published = with_detector_names(vgg, heads);
  const WeightOrigin heads_file{heads, "h", "2"};
  const auto apart = make_lpips({vgg, "v", "1"}, &heads_file);
  const auto together = make_lpips({published, "p", "3"});
  EXPECT_EQ(apart->digest(), "1+2");
  EXPECT_EQ(together->digest(), "3");
  EXPECT_NEAR(distance(apart->embed(images)), expected, 1e-4 * expected);
  EXPECT_TRUE(together->embed(images).equal(apart->embed(images)));
}

TEST(Lpips, GradientsAreFiniteAndRight) {
  const WeightMap& vgg = random_convolutions();
  const WeightMap heads = random_heads();
  const VggLpips lpips({vgg, at::kDouble, "v"}, {heads, at::kDouble, "h"});
  at::Tensor images = (at::rand({1, 3, 16, 16}, at::kDouble) * 255).requires_grad_();
  const at::Tensor target = lpips.embed(at::rand({1, 3, 16, 16}, at::kDouble) * 255);
  const auto loss = [&](const at::Tensor& x) { return (lpips.embed(x) - target).square().sum(); };
  const at::Tensor gradient = torch::autograd::grad({loss(images)}, {images})[0];
  const at::NoGradGuard no_grad;
  const at::Tensor direction = at::randn_like(images);
  const double step = 1e-5;
  const double numeric =
      ((loss(images + step * direction) - loss(images - step * direction)) / (2 * step))
          .item<double>();
  const double exact = (gradient * direction).sum().item<double>();
  EXPECT_NEAR(exact, numeric, 1e-5 * std::abs(numeric));
}

TEST(Lpips, MapsOfZerosHaveZeroGradients) {
  WeightMap vgg = random_convolutions();
  for (auto& [name, value] : vgg)
    if (name.ends_with("bias")) value = at::full_like(value, -1e6);
  const VggLpips lpips({vgg, at::kFloat, "v"}, {random_heads(), at::kFloat, "h"});
  at::Tensor images = (at::rand({1, 3, 16, 16}) * 255).requires_grad_();
  const at::Tensor embedded = lpips.embed(images);
  EXPECT_TRUE(embedded.eq(0).all().item<bool>());
  EXPECT_TRUE(torch::autograd::grad({embedded.sum()}, {images})[0].eq(0).all().item<bool>());
}

TEST(DetectorWeights, WhatDoesNotFitIsNamed) {
  WeightMap vgg = random_convolutions();
  const auto message = [](const WeightMap& weights) {
    return error_of([&] { make_detector({weights, "w.pth", ""}); });
  };
  EXPECT_THAT(message(vgg), HasSubstr("w.pth: read as the weights of VGG16: tensor "
                                      "'classifier.0.weight' is missing"));
  vgg["features.2.weight"] = at::zeros({64, 3, 3, 3});
  EXPECT_THAT(message(vgg), HasSubstr("'features.2.weight' has shape [64, 3, 3, 3] where "
                                      "[64, 64, 3, 3] is due"));
  const WeightMap other{{"encoder.weight", at::ones({1})}};
  EXPECT_THAT(message(other), HasSubstr("its first tensor is 'encoder.weight'); give the weights"));
  EXPECT_THAT(message({{"_conv_stem.weight", at::ones({1})}}), HasSubstr("EfficientNet-Lite0"));
  EXPECT_THAT(message({{"Conv2d_1a_3x3.conv.weight", at::ones({1})}}), HasSubstr("Inception-v3"));
  EXPECT_THAT(error_of([&] { make_lpips({other, "w.pth", ""}); }), HasSubstr("no VGG16"));
  EXPECT_THAT(error_of([&] {
                make_lpips({random_convolutions(), "w.pth", ""});
              }),
              HasSubstr("not the heads of LPIPS"));
  WeightMap heads = random_heads();
  heads["lin3.model.1.weight"].fill_(-1);
  const WeightMap sound = random_convolutions();
  EXPECT_THAT(error_of([&] {
                VggLpips({sound, at::kFloat, "v"}, {heads, at::kFloat, "h"});
              }),
              HasSubstr("h: the head of map 3 has weights below zero"));
}

}  // namespace
}  // namespace galette
