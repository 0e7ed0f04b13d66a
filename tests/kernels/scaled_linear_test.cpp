// SPDX-License-Identifier: Apache-2.0
// scaled_linear against the formula in ATen and against central differences.
#include "kernels/scaled_linear.h"

#include <limits>

#include <gtest/gtest.h>

#include "tests/support/gradcheck.h"

namespace galette {
namespace {

using testing::normal;
using testing::Tensors;

TEST(ScaledLinear, EqualsTheFormula) {
  const at::Tensor x = normal({5, 7}, 1), w = normal({3, 7}, 2), b = normal({3}, 3);
  const at::Tensor product = at::mm(x, w.t());
  EXPECT_TRUE(at::allclose(scaled_linear(x, w, b, 0.3, 0.01), 0.3 * product + 0.01 * b, 1e-13));
  EXPECT_TRUE(at::allclose(scaled_linear(x, w, {}, 0.3), 0.3 * product, 1e-13));
  EXPECT_TRUE(at::allclose(scaled_linear(x, w, {}, 1), product, 1e-13));
  EXPECT_EQ(scaled_linear(normal({0, 7}, 1), w, b, 0.3).sizes(), at::IntArrayRef({0, 3}));
}

TEST(ScaledLinear, DoesNotReadWhatMemoryHeld) {
  // Freed memory full of NaN is what the next result of its size is likely to get.
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (int i = 0; i < 10; ++i) {
    at::full({64, 64}, nan, at::kDouble);
    EXPECT_TRUE(scaled_linear(normal({64, 9}, 1), normal({64, 9}, 2), {}, 0.5)
                    .isfinite()
                    .all()
                    .item<bool>());
  }
}

TEST(ScaledLinear, HasTheDerivativesOfTheFormula) {
  const testing::Operator with_bias = [](const Tensors& in) {
    return scaled_linear(in[0], in[1], in[2], 0.3, 0.01);
  };
  const testing::Operator without = [](const Tensors& in) {
    return scaled_linear(in[0], in[1], {}, 0.3);
  };
  const Tensors inputs{normal({2, 4}, 1), normal({3, 4}, 2), normal({3}, 3)};
  testing::expect_gradients(with_bias, inputs);
  testing::expect_gradients(without, {inputs[0], inputs[1]});
  testing::expect_second_gradients(without, {inputs[0], inputs[1]});
  // The square makes the bias matter to the second derivative.
  testing::expect_second_gradients([&](const Tensors& in) { return with_bias(in).square(); },
                                   inputs);
}

}  // namespace
}  // namespace galette
