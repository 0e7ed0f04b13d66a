// SPDX-License-Identifier: Apache-2.0
// The arithmetic of products and convolutions, each counted once.
#include "cli/product_count.h"

#include <functional>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace galette {
namespace {

double count(const std::function<void()>& work) {
  const ProductCount products;
  work();
  return products.operations();
}

TEST(ProductCount, MatrixProducts) {
  const at::Tensor a = at::rand({3, 5}), b = at::rand({5, 7}), bias = at::rand({7});
  EXPECT_EQ(count([&] { at::mm(a, b); }), 2 * 3 * 5 * 7);
  EXPECT_EQ(count([&] { at::matmul(a, b.select(1, 0)); }), 2 * 3 * 5);
  EXPECT_EQ(count([&] { at::addmm(bias, a, b); }), 2 * 3 * 5 * 7);
  EXPECT_EQ(count([&] { at::linear(a, b.t(), bias); }), 2 * 3 * 5 * 7);
  EXPECT_EQ(count([&] {
              at::matmul(at::rand({2, 3, 5}), at::rand({2, 5, 7}));
            }),
            2 * 2 * 3 * 5 * 7);
  EXPECT_EQ(count([&] { at::mul(a, a).sum(); }), 0);
}

TEST(ProductCount, Convolutions) {
  const at::Tensor x = at::rand({2, 4, 9, 9});
  // 5x5 places of filters over 4 channels, or over 2 in each of 2 groups.
  EXPECT_EQ(count([&] {
              at::conv2d(x, at::rand({6, 4, 3, 3}), {}, 2, 1);
            }),
            2 * (2 * 6 * 5 * 5) * (4 * 3 * 3));
  EXPECT_EQ(count([&] {
              at::conv2d(x, at::rand({6, 2, 3, 3}), {}, 2, 1, 1, 2);
            }),
            2 * (2 * 6 * 5 * 5) * (2 * 3 * 3));
  EXPECT_EQ(count([&] {
              at::conv_transpose2d(x, at::rand({4, 6, 3, 3}), {}, 2);
            }),
            2 * (2 * 4 * 9 * 9) * (6 * 3 * 3));
}

TEST(ProductCount, EndsWithItsScope) {
  const at::Tensor a = at::rand({3, 3});
  count([&] { at::mm(a, a); });
  at::mm(a, a);
  EXPECT_EQ(count([] {}), 0);
}

}  // namespace
}  // namespace galette
