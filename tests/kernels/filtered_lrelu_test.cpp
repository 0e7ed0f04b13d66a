// SPDX-License-Identifier: Apache-2.0
// filtered_lrelu against its definition in separate steps, against central differences, and on
// wrong input.
#include "kernels/filtered_lrelu.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "tests/kernels/naive_resample.h"
#include "tests/support/gradcheck.h"
#include "tests/support/refusal.h"

namespace galette {
namespace {

using testing::expect_refused;
using testing::normal;
using testing::Tensors;

/// Up and down filters of the networks and others: identity, separable, matrices, odd lengths.
struct Filters {
  at::Tensor up, down;
};
std::vector<Filters> filters() {
  return {{{}, {}},
          {normal({12}, 1), normal({12}, 2)},
          {normal({12}, 3), normal({12, 12}, 4)},
          {normal({24}, 5), normal({12}, 6)},
          {normal({5, 7}, 7), normal({3}, 8)},
          {{}, normal({4, 6}, 9)},
          {normal({3}, 10), {}}};
}

at::Tensor naive(const at::Tensor& x, const at::Tensor& bias, const Filters& f,
                 const FilteredLreluOptions& o) {
  const at::Tensor z = bias.defined() ? x + bias.view({1, -1, 1, 1}) : x;
  const auto square = static_cast<double>(o.up * o.up);
  at::Tensor v = testing::naive_upfirdn2d(
      z, f.up, {{o.up, o.up}, {1, 1}, o.padding, o.flip_filter, o.gain * square});
  v = at::where(v < 0, v * o.slope, v);
  if (o.clamp) v = v.clamp(-*o.clamp, *o.clamp);
  return testing::naive_upfirdn2d(v, f.down,
                                  {{1, 1}, {o.down, o.down}, {0, 0, 0, 0}, o.flip_filter, 1});
}

/// Whether the definition gives a result at all.
bool valid(const at::Tensor& x, const Filters& f, const FilteredLreluOptions& o) {
  const AxisPair up = filter_size(f.up), down = filter_size(f.down);
  for (int axis : {0, 1}) {
    const int64_t between =
        x.size(3 - axis) * o.up + o.padding[2 * axis] + o.padding[2 * axis + 1] - up[axis] + 1;
    if (between < down[axis]) return false;
  }
  return true;
}

const AxisPair kFactors[] = {{1, 1}, {2, 2}, {4, 2}, {2, 4}, {1, 2}, {4, 1}, {3, 2}};
const Padding2d kPaddings[] = {{9, 8, 9, 8}, {-6, -9, -2, -5}, {11, -1, 0, 23}, {0, 0, 0, 0}};

template <class Check>
int for_each_case(const at::Tensor& x, const Check& check) {
  int count = 0;
  for (const Filters& f : filters()) {
    for (const AxisPair& factors : kFactors) {
      for (const Padding2d& padding : kPaddings) {
        const FilteredLreluOptions o{.up = factors[0],
                                     .down = factors[1],
                                     .padding = padding,
                                     .gain = 1.3,
                                     .slope = 0.3,
                                     .clamp = 2.5,
                                     .flip_filter = count % 2 == 1};
        if (!valid(x, f, o)) continue;
        check(f, o);
        ++count;
      }
    }
  }
  return count;
}

TEST(FilteredLrelu, EqualsTheDefinition) {
  const testing::OneThread one_thread;
  const at::Tensor x = normal({2, 3, 17, 14}, 20), bias = normal({3}, 21);
  const int count = for_each_case(x, [&](const Filters& f, const FilteredLreluOptions& o) {
    const at::Tensor expected = naive(x, bias, f, o);
    const at::Tensor y = filtered_lrelu(x, bias, f.up, f.down, o);
    ASSERT_EQ(y.sizes(), expected.sizes());
    // Sums of up to 144 products of two stages, in another order.
    ASSERT_TRUE(at::allclose(y, expected, 1e-11, 1e-11));
    const double scale = expected.abs().max().item<double>();
    const at::Tensor single =
        filtered_lrelu(x.to(at::kFloat), bias.to(at::kFloat), f.up, f.down, o);
    ASSERT_LE((single - expected).abs().max().item<double>(), 5e-6 * scale);
  });
  EXPECT_GT(count, 120);
}

TEST(FilteredLrelu, GradientsEqualThoseOfTheDefinition) {
  const testing::OneThread one_thread;
  const at::Tensor x = normal({1, 2, 17, 14}, 22), bias = normal({2}, 23);
  for_each_case(x, [&](const Filters& f, const FilteredLreluOptions& o) {
    const Tensors leaves{x.clone().requires_grad_(), bias.clone().requires_grad_()};
    const at::Tensor y = filtered_lrelu(leaves[0], leaves[1], f.up, f.down, o);
    const at::Tensor dy = normal(y.sizes(), 24).requires_grad_();
    const Tensors ours = torch::autograd::grad({y}, leaves, {dy}, true, true);
    const at::Tensor same = naive(leaves[0], leaves[1], f, o);
    const Tensors expected = torch::autograd::grad({same}, leaves, {dy}, true, true);
    // The gradient is linear in dy; its adjoint must be the derivative of the operator itself.
    const Tensors e{normal(x.sizes(), 25), normal(bias.sizes(), 26)};
    const at::Tensor to_dy = torch::autograd::grad(ours, {dy}, e)[0];
    const at::Tensor expected_to_dy = torch::autograd::grad(expected, {dy}, e)[0];
    for (int i : {0, 1}) ASSERT_TRUE(at::allclose(ours[i], expected[i], 1e-10, 1e-10)) << i;
    ASSERT_TRUE(at::allclose(to_dy, expected_to_dy, 1e-10, 1e-10));
  });
}

TEST(FilteredLrelu, FirstAndSecondDerivativesEqualDifferences) {
  const at::Tensor x = normal({1, 2, 5, 4}, 27), bias = normal({2}, 28);
  for (const Filters& f : {Filters{normal({6}, 29), normal({4, 4}, 30)},
                           Filters{normal({3, 4}, 31), normal({5}, 32)}, Filters{}}) {
    const FilteredLreluOptions o{.up = 2, .down = 2, .padding = {3, 4, 5, 2}, .clamp = 1.5};
    const testing::Operator op = [&](const Tensors& in) {
      return filtered_lrelu(in[0], in[1], f.up, f.down, o);
    };
    testing::expect_gradients(op, {x, bias});
    testing::expect_second_gradients(op, {x, bias});
  }
}

TEST(FilteredLrelu, ClampedValuesHaveNoGradient) {
  const at::Tensor x = at::tensor({-3.0, -1.0, 0.5, 1.0, 3.0}).view({1, 1, 1, 5}).requires_grad_();
  const at::Tensor y = filtered_lrelu(x, {}, {}, {}, {.gain = 2, .slope = 0.5, .clamp = 2});
  EXPECT_TRUE(at::equal(y.view(-1), at::tensor({-2.0, -1.0, 1.0, 2.0, 2.0})));
  // At the clamp itself the gradient passes.
  const at::Tensor dx = torch::autograd::grad({y.sum()}, {x})[0];
  EXPECT_TRUE(at::equal(dx.view(-1), at::tensor({0.0, 1.0, 2.0, 2.0, 0.0})));
}

TEST(FilteredLrelu, RoundsSixteenBitTypesOnce) {
  const at::Tensor f = normal({12}, 33), bias = normal({3}, 34).to(at::kBFloat16);
  const at::Tensor x = normal({2, 3, 9, 8}, 35).to(at::kBFloat16).requires_grad_();
  const FilteredLreluOptions o{.up = 2, .down = 2, .padding = {11, 10, 11, 10}, .clamp = 2};
  const at::Tensor y = filtered_lrelu(x, bias, f, f, o);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  const at::Tensor wide = filtered_lrelu(x.to(at::kFloat), bias.to(at::kFloat), f, f, o);
  EXPECT_TRUE(at::equal(y, wide.to(at::kBFloat16)));
  EXPECT_EQ(torch::autograd::grad({y.sum()}, {x})[0].scalar_type(), at::kBFloat16);
}

TEST(FilteredLrelu, TakesStridesEmptyBatchesAndAnyThreads) {
  const Filters f{normal({12}, 36), normal({12, 12}, 37)};
  const FilteredLreluOptions o{.up = 2, .down = 2, .padding = {9, 8, 9, 8}};
  const at::Tensor x = normal({13, 11, 4, 2}, 38).permute({3, 2, 0, 1});
  EXPECT_TRUE(at::allclose(filtered_lrelu(x, {}, f.up, f.down, o), naive(x, {}, f, o)));
  EXPECT_EQ(filtered_lrelu(at::ones({0, 3, 14, 12}), {}, f.up, f.down, o).sizes(),
            at::IntArrayRef({0, 3, 12, 10}));
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = filtered_lrelu(x, {}, f.up, f.down, o);
  at::set_num_threads(3);
  EXPECT_TRUE(at::equal(one, filtered_lrelu(x, {}, f.up, f.down, o)));
  at::set_num_threads(threads);
}

TEST(FilteredLreluErrors, NameWhatIsWrong) {
  const at::Tensor x = at::ones({1, 2, 4, 4}), f = at::ones({3});
  expect_refused([&] { filtered_lrelu(x[0], {}, f, f); }, "x has shape [2, 4, 4]");
  expect_refused([&] { filtered_lrelu(x.to(at::kInt), {}, f, f); }, "x is of type Int");
  expect_refused([&] { filtered_lrelu(x, at::ones({3}), f, f); }, "bias has shape [3]");
  expect_refused([&] { filtered_lrelu(x, at::ones({2}, at::kDouble), f, f); }, "bias is Double");
  expect_refused([&] { filtered_lrelu(x, {}, f[0], f); }, "up_filter has shape []");
  expect_refused([&] { filtered_lrelu(x, {}, f, f.to(at::kInt)); }, "down_filter is of type Int");
  expect_refused([&] { filtered_lrelu(x, {}, f.clone().requires_grad_(), f); },
                 "up_filter requires a gradient");
  expect_refused([&] { filtered_lrelu(x, {}, f, f, {.up = 0}); }, "up is 0");
  expect_refused([&] { filtered_lrelu(x, {}, f, f, {.gain = 0}); }, "gain is 0");
  expect_refused([&] { filtered_lrelu(x, {}, f, f, {.slope = -1}); }, "slope is -1");
  expect_refused([&] { filtered_lrelu(x, {}, f, f, {.clamp = -1}); }, "clamp is -1");
  expect_refused([&] { filtered_lrelu(x, {}, f, f); }, "along x, 4 samples");
}

TEST(FilteredLreluCuda, EqualsTheCpu) {
  if (!at::hasCUDA())
    GTEST_SKIP() << "NO GPU: the CUDA body of filtered_lrelu is not tested on this machine";
  const at::Tensor x = normal({2, 3, 17, 14}, 39), bias = normal({3}, 40);
  for_each_case(x, [&](const Filters& f, const FilteredLreluOptions& o) {
    const at::Tensor here = x.clone().requires_grad_(), there = x.cuda().requires_grad_();
    const at::Tensor y = filtered_lrelu(here, bias, f.up, f.down, o);
    const at::Tensor z = filtered_lrelu(there, bias.cuda(), f.up, f.down, o);
    EXPECT_TRUE(at::allclose(z.cpu(), y, 1e-10, 1e-10));
    const at::Tensor dy = normal(y.sizes(), 41);
    EXPECT_TRUE(at::allclose(torch::autograd::grad({z}, {there}, {dy.cuda()})[0].cpu(),
                             torch::autograd::grad({y}, {here}, {dy})[0], 1e-10, 1e-10));
  });
}

}  // namespace
}  // namespace galette
