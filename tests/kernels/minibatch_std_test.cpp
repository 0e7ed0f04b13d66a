// SPDX-License-Identifier: Apache-2.0
// The minibatch standard deviation against its definition, its derivatives against central
// differences and the composition, its independence of threads, and wrong input.
#include "kernels/minibatch_std.h"

#include <cmath>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "kernels/dispatch.h"
#include "tests/support/gradcheck.h"
#include "tests/support/refusal.h"

namespace galette {
namespace {

using testing::expect_refused;
using testing::normal;
using testing::Tensors;

struct Case {
  std::vector<int64_t> shape;
  int64_t group, channels;
};
// One group and several, of one sample, of more than the batch has; one part and several.
const Case kCases[] = {{{8, 6, 3, 5}, 4, 1},
                       {{6, 6, 2, 2}, 3, 2},
                       {{4, 3, 1, 1}, 1, 3},
                       {{3, 4, 2, 3}, 5, 1},
                       {{2, 40, 4, 4}, 2, 4}};

/// Element by element, as the definition says.
at::Tensor by_definition(const at::Tensor& x, int64_t group_size, int64_t channels) {
  const int64_t n = x.size(0), group = std::min(group_size, n), c = x.size(1) / channels;
  at::Tensor y = at::zeros({n, x.size(1) + channels, x.size(2), x.size(3)}, x.options());
  y.narrow(1, 0, x.size(1)).copy_(x);
  for (int64_t first = 0; first < n; first += group) {
    for (int64_t f = 0; f < channels; ++f) {
      const at::Tensor values = x.narrow(0, first, group).narrow(1, f * c, c);
      const at::Tensor variance = values.var({0}, /*unbiased=*/false);
      y.narrow(0, first, group).select(1, x.size(1) + f).fill_((variance + 1e-8).sqrt().mean());
    }
  }
  return y;
}

TEST(MinibatchStd, EqualsTheDefinition) {
  for (const Case& c : kCases) {
    for (const double scale : {1.0, 1e-4}) {  // where the epsilon counts
      const at::Tensor x = normal(c.shape, 1) * scale;
      const at::Tensor expected = by_definition(x, c.group, c.channels);
      const at::Tensor y = append_minibatch_std(x, c.group, c.channels);
      EXPECT_TRUE(at::allclose(y, expected, 1e-13, 0));
      const at::Tensor single = append_minibatch_std(x.to(at::kFloat), c.group, c.channels);
      EXPECT_EQ(single.scalar_type(), at::kFloat);
      EXPECT_TRUE(at::allclose(single.to(at::kDouble), expected, 1e-6, 0));
    }
  }
}

TEST(MinibatchStd, HasTheDerivativesOfTheDefinition) {
  for (const Case& c : {Case{{4, 4, 1, 2}, 2, 2}, Case{{3, 2, 2, 1}, 3, 1}}) {
    const testing::Operator f = [&c](const Tensors& x) {
      return append_minibatch_std(x[0], c.group, c.channels);
    };
    testing::expect_gradients(f, {normal(c.shape, 2)});
    testing::expect_second_gradients(f, {normal(c.shape, 3)});
  }
}

/// Values, gradients, and the gradients of these by x and by dy.
Tensors derivatives(const Case& c, at::ScalarType type) {
  const at::Tensor x = normal(c.shape, 4).to(type).requires_grad_();
  const at::Tensor y = append_minibatch_std(x, c.group, c.channels);
  const at::Tensor dy = normal(y.sizes(), 5).to(type).requires_grad_();
  const at::Tensor dx = torch::autograd::grad({y}, {x}, {dy}, true, true)[0];
  const Tensors second = torch::autograd::grad({dx}, {x, dy}, {normal(c.shape, 6).to(type)});
  return {y, dx, second[0], second[1]};
}

TEST(MinibatchStd, EqualsTheComposition) {
  for (const Case& c : kCases) {
    const Tensors ours = derivatives(c, at::kDouble);
    const KernelPathGuard guard(KernelPath::plain);
    const Tensors plain = derivatives(c, at::kDouble);
    for (size_t i = 0; i < ours.size(); ++i)
      EXPECT_TRUE(at::allclose(ours[i], plain[i], 1e-11, 1e-12)) << "result " << i;
  }
}

TEST(MinibatchStd, DoesNotDependOnTheNumberOfThreads) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const Tensors one = derivatives(kCases[0], at::kFloat);
  at::set_num_threads(3);
  const Tensors three = derivatives(kCases[0], at::kFloat);
  at::set_num_threads(before);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], three[i])) << i;
}

TEST(MinibatchStd, TakesStridesSixteenBitsAndEmptyBatches) {
  const at::Tensor x = normal({4, 3, 2, 6}, 7).permute({0, 3, 2, 1});
  EXPECT_TRUE(at::equal(append_minibatch_std(x, 2, 1), append_minibatch_std(x.contiguous(), 2, 1)));
  EXPECT_EQ(append_minibatch_std(x.to(at::kHalf), 2, 1).scalar_type(), at::kHalf);
  EXPECT_EQ(append_minibatch_std(at::zeros({0, 4, 2, 2}), 4, 1).sizes(),
            (std::vector<int64_t>{0, 5, 2, 2}));
}

TEST(MinibatchStd, NamesWhatIsWrong) {
  const at::Tensor x = at::ones({6, 4, 2, 2});
  expect_refused([&] { append_minibatch_std(x, 4, 1); }, "a batch of 6 is no multiple");
  expect_refused([&] { append_minibatch_std(x, 3, 3); }, "4 channels are no multiple of 3");
  expect_refused([&] { append_minibatch_std(x[0], 3, 1); }, "give [N, C, H, W]");
  expect_refused([&] { append_minibatch_std(x, 0, 1); }, "groups of 0");
}

TEST(MinibatchStdCuda, EqualsTheCpu) {
  if (!at::hasCUDA())
    GTEST_SKIP() << "NO GPU: the CUDA body of minibatch_std is not tested on this machine";
  for (const Case& c : kCases) {
    const at::Tensor x = normal(c.shape, 8), gpu = x.cuda().requires_grad_();
    const at::Tensor leaf = x.clone().requires_grad_();
    const at::Tensor y = append_minibatch_std(leaf, c.group, c.channels);
    const at::Tensor on_gpu = append_minibatch_std(gpu, c.group, c.channels);
    EXPECT_TRUE(at::allclose(on_gpu.cpu(), y, 1e-12, 1e-13));
    const at::Tensor dx = torch::autograd::grad({y.square().sum()}, {leaf}, {}, true, true)[0];
    const at::Tensor gpu_dx =
        torch::autograd::grad({on_gpu.square().sum()}, {gpu}, {}, true, true)[0];
    EXPECT_TRUE(at::allclose(gpu_dx.cpu(), dx, 1e-12, 1e-13));
    const at::Tensor second = torch::autograd::grad({dx.square().sum()}, {leaf})[0];
    const at::Tensor gpu_second = torch::autograd::grad({gpu_dx.square().sum()}, {gpu})[0];
    EXPECT_TRUE(at::allclose(gpu_second.cpu(), second, 1e-12, 1e-12));
  }
}

}  // namespace
}  // namespace galette
