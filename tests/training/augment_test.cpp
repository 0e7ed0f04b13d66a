// SPDX-License-Identifier: Apache-2.0
// Augmentation: how often and how far it transforms, that it depends on the sample alone, and that
// what it does to images can be differentiated twice.
#include "training/augment.h"

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "io/check.h"
#include "tests/support/gradcheck.h"
#include "training/augment_draw.h"

namespace galette {
namespace {

constexpr int64_t kResolution = 64;
constexpr int64_t kMany = 4000;

std::vector<int64_t> samples(int64_t first, int64_t n) {
  std::vector<int64_t> all(static_cast<size_t>(n));
  std::iota(all.begin(), all.end(), first);
  return all;
}

SampledAugmentSource source(int64_t first, int64_t n, Phase phase = Phase::d_main,
                            int64_t iteration = 7, bool real = true) {
  return {SampleRng(11), phase, iteration, real, samples(first, n)};
}

AugmentConfig everything() {
  return AugmentConfig::named("bgcfnc");
}

/// Parameters of many images of which one transformation has multiplier `m`.
at::Tensor augmented(const AugmentPipe& pipe, const at::Tensor& x,
                     const AugmentParameters& parameters) {
  return pipe.apply(x, pipe.to_device(parameters, x.options()));
}

AugmentParameters draw_many(double AugmentConfig::*transformation, double m, double p) {
  AugmentConfig config;
  config.*transformation = m;
  return AugmentPipe(config, 3, kResolution).draw(source(0, kMany), kMany, p);
}

/// Mean and standard deviation of values that many images drew independently.
void expect_distribution(const at::Tensor& values, double mean, double deviation) {
  const auto n = static_cast<double>(values.numel());
  // Four standard errors; that of a deviation is less than deviation / sqrt(n) for flat
  // distributions and deviation / sqrt(2 n) for normal ones.
  const double tolerance = 4 * deviation / std::sqrt(n);
  EXPECT_NEAR(values.mean().item<double>(), mean, tolerance);
  EXPECT_NEAR(values.std().item<double>(), deviation, tolerance);
}

/// The fraction of images of which `changed` is true.
void expect_fraction(const at::Tensor& changed, double fraction) {
  const double tolerance = 4 * std::sqrt(fraction * (1 - fraction) / kMany);
  EXPECT_NEAR(changed.to(at::kDouble).mean().item<double>(), fraction, tolerance);
}

at::Tensor element(const at::Tensor& matrices, int64_t i, int64_t j) {
  return matrices.select(1, i).select(1, j);
}

TEST(AugmentDraw, TransformsWithTheProbabilityAskedFor) {
  // Half of the flips, and a quarter of the rotations, are by nothing.
  expect_fraction(element(draw_many(&AugmentConfig::xflip, 0.6, 0.5).geometry, 0, 0) < 0, 0.15);
  const at::Tensor turned = draw_many(&AugmentConfig::rotate90, 1, 0.4).geometry;
  expect_fraction(element(turned, 0, 0) < 0.5, 0.3);
  expect_fraction(element(draw_many(&AugmentConfig::scale, 1, 0.3).geometry, 0, 0) != 1, 0.3);
  // Two rotations are drawn; either happens with the probability of one.
  expect_fraction(element(draw_many(&AugmentConfig::rotate, 0.9, 0.4).geometry, 0, 0) != 1, 0.36);
  expect_fraction(element(draw_many(&AugmentConfig::brightness, 1, 0.3).colour, 0, 3) != 0, 0.3);
  expect_fraction(draw_many(&AugmentConfig::cutout, 1, 0.3).cutout.select(1, 2) > 0, 0.3);
  // Strength has no upper bound, probabilities do.
  expect_fraction(element(draw_many(&AugmentConfig::scale, 1, 7.5).geometry, 0, 0) != 1, 1);
  expect_fraction(element(draw_many(&AugmentConfig::rotate, 1, 7.5).geometry, 0, 0) != 1, 1);
}

TEST(AugmentDraw, GeometryHasItsDistributions) {
  const auto size = static_cast<double>(kResolution);
  expect_distribution(element(draw_many(&AugmentConfig::scale, 1, 1).geometry, 0, 0).log2(), 0,
                      0.2);
  const at::Tensor stretched = draw_many(&AugmentConfig::aniso, 1, 1).geometry;
  expect_distribution(element(stretched, 1, 1).log2(), 0, 0.2);
  EXPECT_TRUE(at::allclose(element(stretched, 0, 0) * element(stretched, 1, 1),
                           at::ones({kMany}, at::kDouble)));
  for (const int64_t axis : {0, 1}) {
    const at::Tensor broken = element(draw_many(&AugmentConfig::xfrac, 1, 1).geometry, axis, 2);
    expect_distribution(broken, 0, 0.125 * size);
    const at::Tensor whole = element(draw_many(&AugmentConfig::xint, 1, 1).geometry, axis, 2);
    EXPECT_TRUE(at::equal(whole, whole.round()));
    EXPECT_EQ(whole.abs().max().item<double>(), size / 8);
    // Uniform in +-8, rounded: the variance of both adds up.
    expect_distribution(whole, 0, std::sqrt(size * size / 192 + 1.0 / 12));
  }
  const at::Tensor turned = draw_many(&AugmentConfig::rotate, 1, 1).geometry;
  const at::Tensor angle = at::atan2(element(turned, 1, 0), element(turned, 0, 0));
  expect_distribution(angle, 0, M_PI / std::sqrt(3.0));
}

TEST(AugmentDraw, ColourHasItsDistributions) {
  expect_distribution(element(draw_many(&AugmentConfig::brightness, 1, 1).colour, 1, 3), 0, 0.2);
  expect_distribution(element(draw_many(&AugmentConfig::contrast, 1, 1).colour, 2, 2).log2(), 0,
                      0.5);
  const at::Tensor grey = at::ones({3}, at::kDouble), tone = at::tensor({1., -1., 0.}, at::kDouble);
  const auto on = [](const at::Tensor& colour, const at::Tensor& c) {
    return colour.narrow(2, 0, 3).matmul(c);
  };
  const at::Tensor flipped =
      on(draw_many(&AugmentConfig::lumaflip, 1, 1).colour, grey).select(1, 0);
  EXPECT_TRUE(at::allclose(flipped.abs(), at::ones({kMany}, at::kDouble)));
  expect_distribution(flipped, 0, 1);
  const at::Tensor hue = draw_many(&AugmentConfig::hue, 1, 1).colour;
  EXPECT_TRUE(at::allclose(on(hue, grey), at::ones({kMany, 3}, at::kDouble)));
  EXPECT_TRUE(at::allclose(on(hue, tone).norm(2, 1), tone.norm().expand({kMany})));
  // The angle between a tone and what it becomes is uniform.
  expect_distribution(on(hue, tone).matmul(tone) / 2, 0, std::sqrt(0.5));
  const at::Tensor saturated = draw_many(&AugmentConfig::saturation, 1, 1).colour;
  EXPECT_TRUE(at::allclose(on(saturated, grey), at::ones({kMany, 3}, at::kDouble)));
  expect_distribution(on(saturated, tone).select(1, 0).log2(), 0, 1);
}

TEST(AugmentDraw, FilterNoiseAndCutoutHaveTheirs) {
  const at::Tensor taps = draw_many(&AugmentConfig::imgfilter, 1, 1).filter;
  EXPECT_TRUE(at::allclose(taps, taps.flip({1})));
  // The lowest band passes a constant. Three other bands lower it a little, and it raises itself.
  EXPECT_GT(taps.sum(1).std().item<double>(), 0.1);
  AugmentConfig config;
  config.noise = 1;
  const AugmentPipe pipe(config, 1, 16);
  // The square of the noise: 0.1^2 on average, with a wide spread from image to image.
  const AugmentParameters noisy = pipe.draw(source(0, 1000), 1000, 1);
  const at::Tensor power = noisy.deviation.square() * noisy.noise.square().mean({1, 2, 3});
  EXPECT_NEAR(power.mean().item<double>(), 0.01, 4 * 0.01 * std::sqrt(2.0 / 1000));
  const at::Tensor square = draw_many(&AugmentConfig::cutout, 1, 1).cutout;
  expect_distribution(square.select(1, 0), 0.5, 1 / std::sqrt(12.0));
  expect_distribution(square.select(1, 1), 0.5, 1 / std::sqrt(12.0));
  EXPECT_TRUE(square.select(1, 2).eq(0.5).all().item<bool>());
}

TEST(AugmentDraw, BandsOfFiltersAddUpToNothing) {
  const auto& bands = filter_bands();
  ASSERT_EQ(bands[0].size(), 43u);
  for (size_t i = 0; i < 43; ++i) {
    const double sum = bands[0][i] + bands[1][i] + bands[2][i] + bands[3][i];
    EXPECT_EQ(sum, i == 21 ? 1 : 0);
  }
}

void expect_equal(const AugmentParameters& a, const AugmentParameters& b) {
  for (at::Tensor AugmentParameters::*part :
       {&AugmentParameters::geometry, &AugmentParameters::margins, &AugmentParameters::colour,
        &AugmentParameters::filter, &AugmentParameters::noise, &AugmentParameters::deviation,
        &AugmentParameters::cutout})
    EXPECT_TRUE(at::equal(a.*part, b.*part));
}

AugmentParameters rows(const AugmentParameters& a, int64_t first, int64_t n) {
  return {a.geometry.narrow(0, first, n), a.margins.narrow(0, first, n),
          a.colour.narrow(0, first, n),   a.filter.narrow(0, first, n),
          a.noise.narrow(0, first, n),    a.deviation.narrow(0, first, n),
          a.cutout.narrow(0, first, n)};
}

TEST(AugmentDraw, IsAFunctionOfTheSampleAlone) {
  const AugmentPipe pipe(everything(), 3, 16);
  const AugmentParameters whole = pipe.draw(source(0, 16), 16, 0.7);
  for (const int64_t micro : {4, 8})
    for (int64_t first = 0; first < 16; first += micro)
      expect_equal(pipe.draw(source(first, micro), micro, 0.7), rows(whole, first, micro));
}

TEST(AugmentDraw, DiffersBetweenSamplesPassesPhasesAndIterations) {
  const AugmentPipe pipe(everything(), 3, 16);
  const AugmentParameters a = pipe.draw(source(0, 4), 4, 1);
  EXPECT_FALSE(at::equal(a.geometry[0], a.geometry[1]));
  for (const SampledAugmentSource& other :
       {source(0, 4, Phase::d_reg), source(0, 4, Phase::d_main, 8),
        source(0, 4, Phase::d_main, 7, false)}) {
    const AugmentParameters b = pipe.draw(other, 4, 1);
    EXPECT_FALSE(at::equal(a.geometry, b.geometry));
    EXPECT_FALSE(at::equal(a.noise, b.noise));
  }
}

TEST(AugmentApply, WithoutStrengthOnlyTheFiltersOfTheGeometryRemain) {
  const at::Tensor x = testing::normal({2, 3, 32, 32}, 1);
  AugmentConfig config = everything();
  const AugmentPipe pipe(config, 3, 32);
  const at::Tensor y = augmented(pipe, x, pipe.draw(source(0, 2), 2, 0));
  EXPECT_FALSE(at::equal(x, y));
  config.xflip = config.rotate90 = config.xint = 0;
  config.scale = config.rotate = config.aniso = config.xfrac = 0;
  const AugmentPipe rest(config, 3, 32);
  EXPECT_TRUE(at::allclose(augmented(rest, x, rest.draw(source(0, 2), 2, 0)), x, 1e-14, 1e-14));
  const AugmentPipe none(AugmentConfig{}, 3, 32);
  EXPECT_TRUE(at::equal(augmented(none, x, none.draw(source(0, 2), 2, 1)), x));
}

TEST(AugmentApply, DerivativesEqualDifferences) {
  // Smaller than the filter of 43 taps, which reflects as often as it takes.
  const AugmentPipe pipe(everything(), 3, 4);
  const AugmentParameters parameters = pipe.draw(source(0, 2), 2, 1);
  const testing::Operator op = [&](const testing::Tensors& in) {
    return augmented(pipe, in[0], parameters).pow(3);
  };
  const at::Tensor x = testing::normal({2, 3, 4, 4}, 2);
  testing::expect_gradients(op, {x}, 1e-5);
  testing::expect_second_gradients(
      [&](const testing::Tensors& in) { return augmented(pipe, in[0], parameters); }, {x});
}

TEST(AugmentApply, GreyImagesAreAveragesOfColours) {
  AugmentConfig config = AugmentConfig::named("bgc");
  config.hue = config.saturation = 0;
  const AugmentPipe grey(config, 1, 16), colour(config, 3, 16);
  const at::Tensor x = testing::normal({4, 1, 16, 16}, 3);
  const at::Tensor y = augmented(grey, x, grey.draw(source(0, 4), 4, 1));
  const at::Tensor z = augmented(colour, x.repeat({1, 3, 1, 1}), colour.draw(source(0, 4), 4, 1));
  EXPECT_TRUE(at::allclose(y, z.mean(1, true), 1e-12, 1e-12));
}

TEST(AugmentApply, CutsOutPixelsByTheirCentres) {
  AugmentParameters parameters;
  parameters.cutout = at::tensor({0.25, 0.875, 0.5, 0.3, 0.3, 0.0}, at::kDouble).view({2, 3});
  const AugmentPipe pipe(AugmentConfig{}, 1, 8);
  const at::Tensor y = augmented(pipe, at::ones({2, 1, 8, 8}), parameters);
  at::Tensor expected = at::ones({2, 1, 8, 8});
  expected[0][0].slice(0, 5, 8).slice(1, 0, 4).zero_();
  EXPECT_TRUE(at::equal(y, expected));
}

TEST(AugmentNames, StandForSets) {
  for (const std::string& name : AugmentConfig::names())
    EXPECT_NO_THROW(AugmentConfig::named(name)) << name;
  const AugmentConfig blit = AugmentConfig::named("blit"), bgc = AugmentConfig::named("bgc");
  EXPECT_TRUE(blit.geometric());
  EXPECT_FALSE(blit.colour());
  EXPECT_EQ(blit.xint + blit.xflip + blit.rotate90, 3);
  EXPECT_EQ(blit.scale + blit.rotate + blit.aniso + blit.xfrac, 0);
  EXPECT_EQ(bgc.xflip + bgc.xfrac + bgc.hue + bgc.saturation, 4);
  EXPECT_EQ(bgc.imgfilter + bgc.noise + bgc.cutout, 0);
  const AugmentConfig bgcfn = AugmentConfig::named("bgcfn");
  EXPECT_EQ(bgcfn.imgfilter + bgcfn.noise, 2);
  EXPECT_EQ(bgcfn.cutout, 0);
  EXPECT_FALSE(AugmentConfig::named("color").geometric());
  EXPECT_THROW(AugmentConfig::named("bgd"), InputError);
}

TEST(AugmentErrors, OtherImagesAreRefused) {
  EXPECT_THROW(AugmentPipe(everything(), 2, 16), c10::Error);
  const AugmentPipe pipe(everything(), 3, 16);
  EXPECT_THROW(pipe.apply(at::ones({1, 3, 8, 16}), {}), c10::Error);
}

}  // namespace
}  // namespace galette
