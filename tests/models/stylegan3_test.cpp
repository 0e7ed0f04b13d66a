// SPDX-License-Identifier: Apache-2.0
// StyleGAN3: sizes and layers as published, filters that pass what they should, initial values, and
// images that depend neither on the batch nor on past passes.
#include "models/stylegan3.h"

#include <cmath>
#include <complex>
#include <numbers>

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "models/factory.h"

namespace galette {
namespace {

StyleGan3Config published(int64_t resolution, bool r) {
  StyleGan3Config config;
  config.img_resolution = resolution;
  if (r) {
    config.channel_base *= 2;
    config.channel_max *= 2;
    config.conv_kernel = 1;
    config.use_radial_filters = true;
  }
  return config;
}

StyleGan3Config small(bool r) {
  StyleGan3Config config = published(16, r);
  config.z_dim = config.w_dim = 16;
  config.channel_base = 64;
  config.channel_max = 8;
  config.bands.num_layers = 5;
  return config;
}

at::Tensor latents(const Generator& g, at::ScalarType type) {
  const at::Tensor z = SampleRng(2).normal({Purpose::z}, {0, 1}, {g.z_dim()}, type);
  return g.broadcast(g.map(z, at::empty({2, 0}, type)));
}

std::vector<std::string> names(int64_t resolution, bool r) {
  std::vector<std::string> result;
  for (const StyleGan3LayerPlan& layer : published(resolution, r).layers())
    result.push_back(layer.name);
  return result;
}

using Names = std::vector<std::string>;

// Names of the published networks, in which sizes and channels show.
TEST(StyleGan3Plan, HasThePublishedLayers) {
  EXPECT_EQ(names(128, false),
            (Names{"L0_36_512", "L1_36_512", "L2_36_512", "L3_52_512", "L4_52_512", "L5_52_512",
                   "L6_84_512", "L7_84_512", "L8_84_512", "L9_148_512", "L10_148_456",
                   "L11_148_342", "L12_148_256", "L13_128_256", "L14_128_3"}));
  EXPECT_EQ(names(256, true),
            (Names{"L0_36_1024", "L1_36_1024", "L2_36_1024", "L3_52_1024", "L4_52_1024",
                   "L5_84_1024", "L6_84_1024", "L7_148_1024", "L8_148_1024", "L9_148_724",
                   "L10_276_512", "L11_276_362", "L12_276_256", "L13_256_256", "L14_256_3"}));
  EXPECT_EQ(names(512, true),
            (Names{"L0_36_1024", "L1_36_1024", "L2_52_1024", "L3_52_1024", "L4_84_1024",
                   "L5_84_1024", "L6_148_1024", "L7_148_967", "L8_276_645", "L9_276_431",
                   "L10_532_287", "L11_532_192", "L12_532_128", "L13_512_128", "L14_512_3"}));
  EXPECT_EQ(names(512, false)[10], "L10_532_144");
  EXPECT_EQ(names(1024, false),
            (Names{"L0_36_512", "L1_36_512", "L2_52_512", "L3_52_512", "L4_84_512", "L5_148_512",
                   "L6_148_512", "L7_276_323", "L8_276_203", "L9_532_128", "L10_1044_81",
                   "L11_1044_51", "L12_1044_32", "L13_1024_32", "L14_1024_3"}));
}

// The number of a network's parameters without allocating them.
int64_t parameters(const StyleGan3Config& config) {
  int64_t count = config.mapping_layers * (config.z_dim + 1) * config.w_dim;
  const std::vector<StyleGan3LayerPlan> layers = config.layers();
  count += layers[0].in.channels * layers[0].in.channels + 4 * (config.w_dim + 1);
  for (const StyleGan3LayerPlan& l : layers) {
    count += l.out.channels * (l.in.channels * l.kernel * l.kernel + 1);
    count += l.in.channels * (config.w_dim + 1);
  }
  return count;
}

TEST(StyleGan3Plan, HasThePublishedSizes) {
  EXPECT_EQ(parameters(published(128, false)), 32'833'523);
  EXPECT_EQ(parameters(published(256, false)), 28'472'133);
  EXPECT_EQ(parameters(published(512, false)), 24'873'519);
  EXPECT_EQ(parameters(published(1024, false)), 22'313'167);
  EXPECT_EQ(parameters(published(128, true)), 21'366'701);
  EXPECT_EQ(parameters(published(256, true)), 18'816'387);
  EXPECT_EQ(parameters(published(512, true)), 16'665'594);
  EXPECT_EQ(parameters(published(1024, true)), 15'093'151);
  const StyleGan3Generator g(published(1024, true), at::kFloat);
  EXPECT_EQ(g.arena().flat_parameters().numel(), 15'093'151);
  EXPECT_EQ(g.num_ws(), 16);
}

TEST(StyleGan3Plan, PadsSoThatSizesFit) {
  using Padding = std::array<int64_t, 2>;
  const auto t = published(256, false).layers(), r = published(256, true).layers();
  EXPECT_EQ(t[0].padding, (Padding{9, 8}));
  EXPECT_EQ(t[3].padding, (Padding{-6, -9}));
  EXPECT_EQ(t[13].padding, (Padding{-11, -12}));
  EXPECT_EQ(r[0].padding, (Padding{11, 10}));
  EXPECT_EQ(r[3].padding, (Padding{-2, -5}));
  EXPECT_EQ(r[13].padding, (Padding{-9, -10}));
  EXPECT_EQ(r[14].padding, (Padding{0, 0}));
  EXPECT_TRUE(r[11].radial);
  EXPECT_FALSE(r[12].radial);
  EXPECT_FALSE(t[0].radial);
}

/// |response| at a frequency along x, of a filter whose samples are 1 / rate apart.
double response(const at::Tensor& filter, double frequency, double rate) {
  const at::Tensor taps = filter.dim() == 1 ? filter : filter.sum({0});
  std::complex<double> sum = 0;
  for (int64_t n = 0; n < taps.size(0); ++n) {
    const double angle = 2 * std::numbers::pi * frequency * static_cast<double>(n) / rate;
    sum += taps[n].item<double>() * std::polar(1.0, angle);
  }
  return std::abs(sum);
}

TEST(StyleGan3Filters, PassTheBandAndStopAboveIt) {
  const auto layers = published(256, true).layers();
  for (const size_t i : {0, 5, 8}) {
    const StyleGan3LayerPlan& l = layers[i];
    const auto rate = static_cast<double>(l.inner_rate());
    for (const auto& [filter, signal] :
         {std::pair{l.up_filter(), l.in}, std::pair{l.down_filter(), l.out}}) {
      EXPECT_NEAR(response(filter, 0, rate), 1, 1e-6);
      // Six taps per factor give a wide transition, in whose midst the cutoff lies.
      EXPECT_GT(response(filter, signal.cutoff / 2, rate), 0.8) << l.name;
      EXPECT_NEAR(response(filter, signal.cutoff, rate), 0.6, 0.2) << l.name;
      EXPECT_LT(response(filter, signal.cutoff + signal.half_width, rate), 0.01) << l.name;
    }
    const at::Tensor radial = l.down_filter();
    EXPECT_TRUE(at::allclose(radial, radial.t()));
    EXPECT_TRUE(at::allclose(radial, radial.flip({0})));
  }
  EXPECT_FALSE(layers[14].up_filter().defined());
}

TEST(StyleGan3, IsRebuiltFromItsArguments) {
  StyleGan3Config config = small(true);
  config.conv_clamp = std::nullopt;
  config.magnitude_ema_beta = 0.75;
  const StyleGan3Generator g(config, at::kFloat);
  const auto again = make_generator(g.class_name(), g.init_args(), at::kFloat);
  EXPECT_EQ(again->init_args(), g.init_args());
  ASSERT_EQ(again->arena().parameters().size(), g.arena().parameters().size());
  for (size_t i = 0; i < g.arena().parameters().size(); ++i) {
    EXPECT_EQ(again->arena().parameters()[i].name, g.arena().parameters()[i].name);
    EXPECT_EQ(again->arena().parameters()[i].shape, g.arena().parameters()[i].shape);
  }
}

TEST(StyleGan3, StartsFromItsDistributions) {
  StyleGan3Config config = small(true);
  config.channel_max = 512;
  config.channel_base = 2048;  // 512 waves
  StyleGan3Generator g(config, at::kFloat);
  g.arena().initialize(SampleRng(7), 1);
  const at::Tensor freqs = g.arena().find("synthesis.input.freqs");
  const at::Tensor radius = freqs.square().sum({1}).sqrt();
  EXPECT_LE(radius.max().item<double>(), 2);
  // |g|^2 / 2 is exponential, so the square of the radius is uniform: mean 1/2 of the bandwidth's
  // square, 512 draws err by sqrt(1/12/512) = 1.3 % of that square. Four times the expected errors
  // are allowed here and below.
  EXPECT_NEAR((radius / 2).square().mean().item<double>(), 0.5, 0.05);
  EXPECT_NEAR(freqs.mean().item<double>(), 0, 0.13);
  const at::Tensor phases = g.arena().find("synthesis.input.phases");
  EXPECT_LE(phases.abs().max().item<double>(), 0.5);
  EXPECT_NEAR(phases.square().mean().item<double>(), 1.0 / 12, 0.014);
  EXPECT_TRUE(
      at::equal(g.arena().find("synthesis.input.affine.bias"), at::tensor({1.f, 0.f, 0.f, 0.f})));
  EXPECT_EQ(g.arena().find("synthesis.input.affine.weight").abs().max().item<double>(), 0);
  EXPECT_TRUE(at::equal(g.transform(), at::eye(3)));
}

TEST(StyleGan3, SamplesDoNotDependOnTheirBatch) {
  const at::NoGradGuard no_grad;
  for (const bool r : {false, true}) {
    StyleGan3Generator g(small(r), at::kDouble);
    g.arena().initialize(SampleRng(1), 1);
    const at::Tensor ws = latents(g, at::kDouble);
    const at::Tensor both = g.synthesize(ws);
    ASSERT_EQ(both.sizes(), (at::IntArrayRef{2, 3, 16, 16}));
    // Convolutions of other batch sizes may sum in another order.
    EXPECT_TRUE(at::allclose(both.narrow(0, 1, 1), g.synthesize(ws.narrow(0, 1, 1)), 1e-12, 1e-12));
  }
}

TEST(StyleGan3, CollectsMagnitudesAndWritesNothing) {
  const at::NoGradGuard no_grad;
  StyleGan3Generator g(small(false), at::kDouble);
  g.arena().initialize(SampleRng(1), 1);
  const at::Tensor ws = latents(g, at::kDouble), buffers = g.arena().flat_buffers().clone();
  InputMagnitudes magnitudes{at::zeros({6, 2}, at::kDouble), std::nullopt};
  SynthesisOptions options;
  options.magnitudes = &magnitudes;
  const at::Tensor image = g.synthesize(ws, options);
  EXPECT_TRUE(at::equal(image, g.synthesize(ws)));
  const at::Tensor x = g.input_features(ws.select(1, 0));
  EXPECT_NEAR(magnitudes.sums[0][0].item<double>(), x.square().sum().item<double>(), 1e-9);
  EXPECT_EQ(magnitudes.sums[0][1].item<int64_t>(), x.numel());
  // A second half of the batch adds to the first.
  InputMagnitudes halves{at::zeros({6, 2}, at::kDouble), std::nullopt};
  options.magnitudes = &halves;
  for (const int64_t i : {0, 1}) g.synthesize(ws.narrow(0, i, 1), options);
  EXPECT_TRUE(at::allclose(halves.sums, magnitudes.sums, 1e-12));
  // With the average in use at once, brighter inputs make fainter layers.
  magnitudes.immediate_beta = 0.5;
  options.magnitudes = &magnitudes;
  EXPECT_FALSE(at::allclose(g.synthesize(ws, options), image, 1e-3, 1e-3));
  EXPECT_TRUE(at::equal(g.arena().flat_buffers(), buffers));
  EXPECT_EQ(g.magnitude_averages().size(), 6);
}

TEST(StyleGan3, TurnsImagesByQuarters) {
  const at::NoGradGuard no_grad;
  StyleGan3Generator g(small(true), at::kDouble);
  g.arena().initialize(SampleRng(1), 1);
  const at::Tensor ws = latents(g, at::kDouble), image = g.synthesize(ws);
  g.transform().copy_(StyleGan3Generator::inverse_transform(90, 0, 0));
  // Filters and grids are symmetric, so that a quarter turn is exact.
  const at::Tensor turned = g.synthesize(ws);
  const bool left = at::allclose(turned.rot90(1, {2, 3}), image, 1e-9, 1e-9);
  const bool right = at::allclose(turned.rot90(-1, {2, 3}), image, 1e-9, 1e-9);
  EXPECT_NE(left, right);
}

TEST(StyleGan3, ComputesInSixteenBitsWhereItMay) {
  const at::NoGradGuard no_grad;
  StyleGan3Generator g(small(false), at::kFloat);
  g.arena().initialize(SampleRng(1), 1);
  const at::Tensor ws = latents(g, at::kFloat), image = g.synthesize(ws);
  g.set_low_precision(at::kBFloat16);
  const at::Tensor low = g.synthesize(ws);
  EXPECT_EQ(low.scalar_type(), at::kFloat);
  const double deviation = (low - image).abs().max().item<double>();
  EXPECT_GT(deviation, 0);
  // Six layers of eight bits of precision each.
  EXPECT_LT(deviation, 0.05 * image.abs().max().item<double>());
}

}  // namespace
}  // namespace galette
