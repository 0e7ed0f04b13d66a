// SPDX-License-Identifier: Apache-2.0
#include "training/blur.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/support/gradcheck.h"

namespace galette {
namespace {

TEST(Blur, FadesLinearly) {
  EXPECT_EQ(blur_sigma(10, 200, 0), 10);
  EXPECT_EQ(blur_sigma(10, 200, 150'000), 2.5);
  EXPECT_EQ(blur_sigma(10, 200, 200'000), 0);
  EXPECT_EQ(blur_sigma(10, 200, 900'000), 0);
  EXPECT_EQ(blur_sigma(10, 0, 0), 0);
  EXPECT_EQ(blur_sigma(0, 200, 0), 0);
}

TEST(Blur, AnImpulseBecomesThePowersOfTwo) {
  const double sigma = 1.2;  // |k| <= 3
  at::Tensor x = at::zeros({1, 1, 15, 15}, at::kDouble);
  x[0][0][7][6] = 1;
  double sum = 0;
  for (int k = -3; k <= 3; ++k) sum += std::exp2(-k * k / (sigma * sigma));
  const at::Tensor y = blur_images(x, sigma);
  for (int i = 0; i < 15; ++i) {
    for (int j = 0; j < 15; ++j) {
      const int dy = i - 7, dx = j - 6;
      const bool inside = std::abs(dy) <= 3 && std::abs(dx) <= 3;
      const double tap = std::exp2(-(dx * dx + dy * dy) / (sigma * sigma)) / (sum * sum);
      EXPECT_NEAR(y[0][0][i][j].item<double>(), inside ? tap : 0, 1e-15);
    }
  }
}

TEST(Blur, IsNothingBelowOneTapAndZeroBeyondBorders) {
  const at::Tensor x = testing::normal({2, 3, 5, 5}, 1);
  EXPECT_TRUE(at::equal(blur_images(x, 0), x));
  EXPECT_TRUE(at::equal(blur_images(x, 0.33), x));
  const at::Tensor y = blur_images(at::ones({1, 1, 9, 9}), 1);
  EXPECT_NEAR(y[0][0][4][4].item<double>(), 1, 1e-6);
  EXPECT_LT(y[0][0][0][0].item<double>(), 0.6);
}

TEST(Blur, DerivativesEqualDifferences) {
  const testing::Operator op = [](const testing::Tensors& in) { return blur_images(in[0], 0.8); };
  const at::Tensor x = testing::normal({1, 2, 5, 4}, 2);
  testing::expect_gradients(op, {x});
  testing::expect_second_gradients(op, {x});
}

}  // namespace
}  // namespace galette
