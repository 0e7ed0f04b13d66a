// SPDX-License-Identifier: Apache-2.0
#include "metrics/image_motion.h"

#include <cmath>

#include <gtest/gtest.h>

#include "metrics/psnr.h"

namespace galette {
namespace {

/// [1, 1, size, size] of a function of the offsets (x, y) from the centre, in pixels.
template <typename F>
at::Tensor image_of(int64_t size, const F& f) {
  at::Tensor image = at::empty({1, 1, size, size}, at::kDouble);
  auto pixels = image.accessor<double, 4>();
  const double centre = 0.5 - static_cast<double>(size) / 2;
  for (int64_t y = 0; y < size; ++y)
    for (int64_t x = 0; x < size; ++x)
      pixels[0][0][y][x] = f(static_cast<double>(x) + centre, static_cast<double>(y) + centre);
  return image;
}

double psnr(const MovedImages& moved, const at::Tensor& expected) {
  SquaredError error;
  error.add(expected, moved.images, moved.mask);
  return error.psnr();
}

double wave(double x, double y) {
  return std::sin(0.9 * x + 0.3) * std::cos(0.7 * y - 0.2);
}

/// Neither symmetric nor sharp.
double blob(double x, double y) {
  return std::exp(-((x - 3) * (x - 3) + (y + 1) * (y + 1) * 2) / 20);
}

TEST(Psnr, HandMadeNumbers) {
  const at::Tensor mask = at::tensor({1.0, 0.0, 1.0, 0.0}, at::kDouble).view({2, 2});
  const at::Tensor image = at::tensor({0.5F, 9.0F, 0.1F, 9.0F}).view({1, 1, 2, 2});
  SquaredError error;
  error.add(at::zeros({1, 1, 2, 2}), image, mask);
  EXPECT_NEAR(error.squares, 0.26, 1e-7);  // 0.1 is not exact in float32
  EXPECT_EQ(error.weights, 2);
  EXPECT_NEAR(error.psnr(), 10 * std::log10(4 / 0.13), 1e-6);
  EXPECT_EQ((SquaredError{0, 3}.psnr()), INFINITY);
}

TEST(ShiftWhole, MovesRightAndDown) {
  const at::Tensor image = at::arange(1, 17, at::kFloat).view({1, 1, 4, 4});
  const MovedImages moved = shift_whole(image, {1, -2});
  const at::Tensor expected = at::tensor({0, 9, 10, 11, 0, 13, 14, 15, 0, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_TRUE(moved.images.equal(expected.to(at::kDouble).view({1, 1, 4, 4})));
  EXPECT_TRUE(moved.mask.equal(moved.images[0][0].gt(0).to(at::kDouble)));
}

TEST(ShiftFractional, MovesWhatIsBandLimited) {
  const at::Tensor image = image_of(32, wave);
  for (const auto& [x, y] : {std::pair(1.4, -3.7), std::pair(-0.2, 0.5)}) {
    const at::Tensor expected =
        image_of(32, [x = x, y = y](double u, double v) { return wave(u - x, v - y); });
    const MovedImages moved = shift_fractional(image, {x, y});
    EXPECT_GT(psnr(moved, expected), 40);  // what six taps can do at these frequencies
    EXPECT_LT(psnr(moved, image), 30);
    EXPECT_GT(moved.mask.sum().item<double>(), 20 * 20);
  }
}

TEST(ShiftFractional, OfWholePixelsIsExactWithinItsMask) {
  const at::Tensor image = image_of(16, wave);
  const MovedImages moved = shift_fractional(image, {2, -1}), exact = shift_whole(image, {2, -1});
  EXPECT_LT(((moved.images - exact.images) * moved.mask).abs().max().item<double>(), 1e-14);
  EXPECT_TRUE((moved.mask * exact.mask).equal(moved.mask));
}

TEST(BandLimitFilter, IsNormalisedAndSymmetric) {
  for (const int64_t u : {1, 4}) {
    const at::Tensor filter = band_limit_filter(0.6, u);
    ASSERT_EQ(filter.sizes(), (std::vector<int64_t>{12 * u - 1, 12 * u - 1}));
    EXPECT_NEAR(filter.sum().item<double>(), 1, 1e-12);
    EXPECT_LT((filter - filter.flip({0, 1})).abs().max().item<double>(), 1e-12);
    for (int64_t y = 0; y < u; ++y)
      for (int64_t x = 0; x < u; ++x)
        EXPECT_NEAR(filter.slice(0, y, {}, u).slice(1, x, {}, u).sum().item<double>(),
                    1 / static_cast<double>(u * u), 1e-12);
  }
}

TEST(Rotate, TurnsByAnyAngle) {
  const at::Tensor image = image_of(32, blob);
  for (const double angle : {0.0, 0.5, -2.2, M_PI / 2}) {
    const double c = std::cos(angle), s = std::sin(angle);
    const at::Tensor expected =
        image_of(32, [&](double x, double y) { return blob(c * x - s * y, s * x + c * y); });
    const MovedImages moved = rotate(image, angle);
    // Interpolation between samples at a quarter of a pixel is off by up to 0.001 here.
    EXPECT_GT(psnr(moved, expected), 55) << angle;
    EXPECT_GT(moved.mask.sum().item<double>(), 300);
  }
}

TEST(Rotate, PseudoRotationOnlyFilters) {
  const MovedImages same = pseudo_rotate(image_of(32, blob), 0.7);
  EXPECT_GT(psnr(same, image_of(32, blob)), 55);
  EXPECT_EQ(same.mask.sum().item<double>(), 22 * 22);
  EXPECT_THROW(rotate(at::zeros({1, 3, 8, 8}), 1), c10::Error);
}

}  // namespace
}  // namespace galette
