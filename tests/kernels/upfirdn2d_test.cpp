// SPDX-License-Identifier: Apache-2.0
// upfirdn2d against its definition, against central differences, and on wrong input.
#include "kernels/upfirdn2d.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "kernels/fir_filter.h"
#include "tests/kernels/naive_resample.h"
#include "tests/support/gradcheck.h"
#include "tests/support/refusal.h"

namespace galette {
namespace {

using testing::expect_refused;
using testing::naive_upfirdn2d;
using testing::normal;
using testing::Tensors;

/// Identity, one tap, separable ones (odd, even and long), rank one and full matrices.
Tensors filters() {
  return {at::Tensor(),
          normal({1}, 1),
          normal({3}, 2),
          normal({4}, 3),
          normal({12}, 4),
          setup_filter({1, 3, 3, 1}),
          normal({3, 5}, 5),
          normal({4, 4}, 6),
          normal({1, 3}, 7),
          normal({5, 1}, 8),
          at::zeros({2, 2}, at::kDouble)};
}

struct Geometry {
  AxisPair up, down;
  Padding2d padding;
};
const Geometry kGeometries[] = {
    {{1, 1}, {1, 1}, {0, 0, 0, 0}},     {{1, 1}, {1, 1}, {2, 1, 2, 1}},
    {{2, 2}, {1, 1}, {2, 1, 2, 1}},     {{1, 1}, {2, 2}, {1, 1, 1, 1}},
    {{2, 2}, {2, 2}, {3, 2, 1, 4}},     {{2, 1}, {1, 2}, {3, 2, 1, 4}},
    {{1, 3}, {2, 1}, {-1, 3, 2, -2}},   {{3, 2}, {2, 3}, {5, 4, 3, 2}},
    {{4, 4}, {3, 3}, {4, 3, -2, 6}},    {{1, 1}, {1, 1}, {-3, -2, -1, -4}},
    {{2, 2}, {4, 4}, {20, 17, 15, 30}}, {{2, 3}, {1, 1}, {-5, 1, 4, -7}}};

/// Whether the definition gives a result at all.
bool valid(const at::Tensor& x, const at::Tensor& f, const Geometry& g) {
  const AxisPair size = filter_size(f);
  return x.size(3) * g.up[0] + g.padding[0] + g.padding[1] >= size[0] &&
         x.size(2) * g.up[1] + g.padding[2] + g.padding[3] >= size[1];
}

TEST(UpFirDn, EqualsTheDefinition) {
  const testing::OneThread one_thread;
  int compared = 0;
  for (const auto& shape : {std::vector<int64_t>{2, 3, 19, 24}, {1, 2, 13, 17}}) {
    const at::Tensor x = normal(shape, 10);
    for (const at::Tensor& f : filters()) {
      for (const Geometry& g : kGeometries) {
        for (const bool flip : {false, true}) {
          if (!valid(x, f, g)) continue;
          const UpFirDnOptions options{g.up, g.down, g.padding, flip, -1.5};
          const at::Tensor expected = naive_upfirdn2d(x, f, options);
          const at::Tensor y = upfirdn2d(x, f, options);
          ASSERT_EQ(y.sizes(), expected.sizes());
          // Sums of up to 144 products, in another order.
          ASSERT_TRUE(at::allclose(y, expected, 1e-12, 1e-12));
          const at::Tensor single = upfirdn2d(x.to(at::kFloat), f, options);
          const double scale = expected.abs().max().item<double>();
          ASSERT_LE((single - expected).abs().max().item<double>(), 2e-6 * scale);
          ++compared;
        }
      }
    }
  }
  EXPECT_GT(compared, 400);
}

TEST(UpFirDn, FirstAndSecondDerivativesEqualDifferences) {
  for (const at::Tensor& f : filters()) {
    for (const Geometry& g : kGeometries) {
      const at::Tensor x = normal({1, 1, 6, 5}, 11);
      if (!valid(x, f, g)) continue;
      const testing::Operator op = [&](const Tensors& in) {
        return upfirdn2d(in[0], f, {g.up, g.down, g.padding, false, 1.5});
      };
      if (op({x}).numel() > 200) continue;
      testing::expect_gradients(op, {x});
      testing::expect_second_gradients(op, {x});
    }
  }
}

TEST(UpFirDn, TakesStridesEmptyBatchesAndRowsWithoutSamples) {
  const at::Tensor f = setup_filter({1, 3, 3, 1});
  const UpFirDnOptions options{.up = {2, 2}, .padding = {2, 1, 2, 1}};
  const at::Tensor x = normal({6, 5, 3, 2}, 12).permute({3, 2, 0, 1});
  EXPECT_TRUE(at::allclose(upfirdn2d(x, f, options), naive_upfirdn2d(x, f, options)));
  EXPECT_EQ(upfirdn2d(at::ones({0, 3, 4, 4}), f, options).sizes(), at::IntArrayRef({0, 3, 8, 8}));
  const at::Tensor padded = upfirdn2d(at::ones({1, 1, 2, 2}), f, {.padding = {9, 0, 9, 0}});
  EXPECT_EQ(padded.sizes(), at::IntArrayRef({1, 1, 8, 8}));
  EXPECT_EQ(padded.slice(2, 0, 5).abs().max().item<double>(), 0);
}

/// y, the gradient by x, and what of that reaches the cotangent: the operator, its adjoint, and the
/// adjoint of that. The cotangents lie in the ordinary order.
Tensors with_derivatives(const at::Tensor& x, const at::Tensor& f, const UpFirDnOptions& options) {
  const at::Tensor leaf = x.detach().requires_grad_();
  const at::Tensor y = upfirdn2d(leaf, f, options);
  const at::Tensor dy = normal(y.sizes(), 31).to(x.scalar_type()).requires_grad_();
  const at::Tensor dx = torch::autograd::grad({y}, {leaf}, {dy}, true, true)[0];
  const at::Tensor q = normal(dx.sizes(), 32).to(x.scalar_type());
  return {y.detach(), dx.detach(), torch::autograd::grad({dx}, {dy}, {q})[0]};
}

// Sums are taken in the same order, so the bits are the same.
TEST(UpFirDn, ChannelsLastImagesAreWorkedOnAsTheyLie) {
  const testing::OneThread one_thread;
  int compared = 0;
  const std::vector<std::vector<int64_t>> shapes{
      {2, 3, 19, 24}, {1, 2, 13, 17}, {2, 33, 5, 6}, {2, 1, 9, 7}, {3, 4, 1, 6}};
  for (const auto& shape : shapes) {
    for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
      const at::Tensor x = normal(shape, 10).to(type);
      const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast);
      for (const at::Tensor& f : filters()) {
        for (const Geometry& g : kGeometries) {
          if (!valid(x, f, g)) continue;
          const UpFirDnOptions options{g.up, g.down, g.padding, compared % 2 == 0, -1.5};
          const Tensors rows = with_derivatives(x, f, options);
          const Tensors pixels = with_derivatives(last, f, options);
          for (size_t k = 0; k < rows.size(); ++k) {
            ASSERT_TRUE(rows[k].is_contiguous());
            ASSERT_TRUE(pixels[k].is_contiguous(at::MemoryFormat::ChannelsLast)) << k;
            ASSERT_TRUE(at::equal(pixels[k], rows[k])) << k;
          }
          ++compared;
        }
      }
    }
  }
  EXPECT_GT(compared, 500);
}

// Of a larger image that lies channels last; and a single pixel, which lies in both orders, on its
// way to a larger gradient.
TEST(UpFirDn, ChannelsLastPiecesAndSinglePixels) {
  const at::Tensor x = normal({2, 3, 12, 10}, 13), f = setup_filter({1, 3, 3, 1});
  const at::Tensor piece = x.contiguous(at::MemoryFormat::ChannelsLast).slice(2, 1, 10).slice(3, 3);
  const at::Tensor y = upsample2d(piece, f);
  EXPECT_TRUE(y.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(at::equal(y, upsample2d(piece.contiguous(), f)));
  const at::Tensor small = x.slice(2, 0, 4).slice(3, 0, 4);
  const Tensors rows = with_derivatives(small.contiguous(), f, {});
  const Tensors pixels = with_derivatives(small.contiguous(at::MemoryFormat::ChannelsLast), f, {});
  ASSERT_EQ(pixels[0].sizes(), at::IntArrayRef({2, 3, 1, 1}));
  for (size_t k = 0; k < rows.size(); ++k) EXPECT_TRUE(at::equal(pixels[k], rows[k])) << k;
  EXPECT_TRUE(pixels[1].is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST(UpFirDn, ResultsDoNotDependOnTheThreads) {
  const int threads = at::get_num_threads();
  const at::Tensor rows = normal({2, 8, 64, 65}, 1).to(at::kFloat);
  for (const at::Tensor& x : {rows, rows.contiguous(at::MemoryFormat::ChannelsLast)}) {
    for (const at::Tensor& f : {setup_filter({1, 3, 3, 1}), normal({4, 4}, 2)}) {
      at::set_num_threads(1);
      const at::Tensor one = upsample2d(x, f);
      at::set_num_threads(3);
      EXPECT_TRUE(at::equal(one, upsample2d(x, f)));
      at::set_num_threads(threads);
    }
  }
}

TEST(UpFirDn, SixteenBitsRoundTheFloat32Result) {
  const at::Tensor f = setup_filter({1, 3, 3, 1});
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    const at::Tensor x = normal({2, 3, 9, 8}, 1).to(type).requires_grad_();
    const at::Tensor y = upsample2d(x, f), wide = upsample2d(x.detach().to(at::kFloat), f);
    ASSERT_EQ(y.scalar_type(), type);
    EXPECT_TRUE(at::equal(y, wide.to(type)));
    const at::Tensor grad = torch::autograd::grad({y}, {x}, {at::ones_like(y)})[0];
    ASSERT_EQ(grad.scalar_type(), type);
    // Inside, each of the four taps per axis is met twice: the adjoint of ones is 4 there.
    EXPECT_EQ(grad[1][2][4][4].item<float>(), 4);
  }
}

TEST(Resample, SizesAndMeansOfTheEverydayUses) {
  const at::Tensor x = at::ones({1, 1, 12, 10}), f = setup_filter({1, 3, 3, 1});
  const auto middle = [](const at::Tensor& y) {
    return y[0][0][y.size(2) / 2][y.size(3) / 2].item<double>();
  };
  EXPECT_EQ(filter2d(x, f).sizes(), x.sizes());
  EXPECT_EQ(upsample2d(x, f).sizes(), at::IntArrayRef({1, 1, 24, 20}));
  EXPECT_EQ(downsample2d(x, f).sizes(), at::IntArrayRef({1, 1, 6, 5}));
  EXPECT_EQ(upsample2d(x, {}, {3, 2}).sizes(), at::IntArrayRef({1, 1, 24, 30}));
  EXPECT_EQ(filter2d(x, f, {1, 0, 2, -1}).sizes(), at::IntArrayRef({1, 1, 13, 11}));
  for (const at::Tensor& y : {filter2d(x, f), upsample2d(x, f), downsample2d(x, f)})
    EXPECT_FLOAT_EQ(middle(y), 1);
  EXPECT_FLOAT_EQ(middle(upsample2d(x, f, {2, 2}, {0, 0, 0, 0}, false, 3)), 3);
}

TEST(SetupFilter, FollowsItsOrderOfSteps) {
  const at::Tensor square = setup_filter({1, 3, 3, 1});
  EXPECT_EQ(square.scalar_type(), at::kFloat);
  EXPECT_EQ(square.sizes(), at::IntArrayRef({4, 4}));
  EXPECT_FLOAT_EQ(square[1][2].item<float>(), 9.f / 64);
  EXPECT_EQ(setup_filter(at::Tensor()).sizes(), at::IntArrayRef({1, 1}));
  const at::Tensor eight = setup_filter({1, 2, 3, 4, 5, 6, 7, 8}, {.gain = 9});
  EXPECT_EQ(eight.sizes(), at::IntArrayRef({8}));
  EXPECT_FLOAT_EQ(eight[7].item<float>(), 3 * 8.f / 36);
  const at::Tensor flipped =
      setup_filter({1, 2}, {.normalize = false, .flip_filter = true, .gain = 2});
  EXPECT_TRUE(at::equal(flipped, at::tensor({8.f, 4.f, 4.f, 2.f}).view({2, 2})));
  EXPECT_THROW(setup_filter({1, -1}), c10::Error);
  EXPECT_THROW(setup_filter(at::ones({2, 2, 2})), c10::Error);
  EXPECT_THROW(setup_filter(std::vector<double>{}), c10::Error);
}

TEST(UpFirDnErrors, NameWhatIsWrong) {
  const at::Tensor x = at::ones({1, 2, 4, 4}), f = at::ones({3, 3});
  expect_refused([&] { upfirdn2d(x[0], f); }, "x has shape [2, 4, 4]");
  expect_refused([&] { upfirdn2d(x.to(at::kInt), f); }, "x is of type Int");
  expect_refused([&] { upfirdn2d(x, f[0][0]); }, "filter has shape []");
  expect_refused([&] { upfirdn2d(x, f.to(at::kInt)); }, "filter is of type Int");
  expect_refused([&] { upfirdn2d(x, f.clone().requires_grad_()); }, "filter requires a gradient");
  expect_refused([&] { upfirdn2d(x, f, {.up = {0, 1}}); }, "up is (0, 1)");
  expect_refused([&] { upfirdn2d(x, f, {.down = {1, -1}}); }, "down is (1, -1)");
  expect_refused([&] { upfirdn2d(x, f, {.padding = {-1, -1, 0, 0}}); }, "along x, 4 samples");
  expect_refused([&] { upfirdn2d(x, at::ones({5, 3})); }, "along y, 4 samples");
}

TEST(UpFirDnCuda, EqualsTheCpu) {
  if (!at::hasCUDA())
    GTEST_SKIP() << "NO GPU: the CUDA body of upfirdn2d is not tested on this machine";
  const at::Tensor x = normal({2, 3, 19, 24}, 10);
  for (const at::Tensor& f : filters()) {
    for (const Geometry& g : kGeometries) {
      if (!valid(x, f, g)) continue;
      const UpFirDnOptions options{g.up, g.down, g.padding, false, 1.5};
      const at::Tensor expected = upfirdn2d(x, f, options);
      for (const at::MemoryFormat format :
           {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
        const at::Tensor y = upfirdn2d(x.cuda().contiguous(format), f, options);
        EXPECT_TRUE(y.is_contiguous(format));
        EXPECT_TRUE(at::allclose(y.cpu(), expected, 1e-11, 1e-11));
      }
    }
  }
}

}  // namespace
}  // namespace galette
