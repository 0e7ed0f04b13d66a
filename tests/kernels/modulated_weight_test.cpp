// SPDX-License-Identifier: Apache-2.0
// modulated_weight against the formula in ATen, its derivatives against central differences and
// the composition, its independence of threads, and wrong input.
#include "kernels/modulated_weight.h"

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

at::Tensor by_definition(const at::Tensor& w, const at::Tensor& s, bool demodulate, double gain) {
  const at::Tensor u = w.unsqueeze(0) * s.unsqueeze(1);
  return demodulate ? gain * u / (u.square().sum({2}, true) + 1e-8).sqrt() : gain * u;
}

// One row, fewer and more outputs than a part, and rows that are no multiple of a vector.
const std::vector<std::vector<int64_t>> kSizes = {{1, 1, 1}, {2, 5, 7}, {3, 70, 33}, {1, 33, 64}};

class ModulatedWeight : public ::testing::TestWithParam<bool> {};

TEST_P(ModulatedWeight, EqualsTheFormula) {
  for (const std::vector<int64_t>& size : kSizes) {
    const at::Tensor w = normal({size[1], size[2]}, 1), s = normal({size[0], size[2]}, 2);
    const at::Tensor expected = by_definition(w, s, GetParam(), 0.7);
    EXPECT_TRUE(at::allclose(modulated_weight(w, s, GetParam(), 0.7), expected, 1e-13, 1e-13));
    const at::Tensor single = modulated_weight(w.to(at::kFloat), s.to(at::kFloat), GetParam(), 0.7);
    EXPECT_EQ(single.scalar_type(), at::kFloat);
    // A few roundings, and those of a sum of at most 64 terms.
    EXPECT_TRUE(at::allclose(single.to(at::kDouble), expected, 2e-6, 1e-6));
  }
}

TEST_P(ModulatedWeight, HasTheDerivativesOfTheFormula) {
  const bool demodulate = GetParam();
  const testing::Operator f = [demodulate](const Tensors& x) {
    return modulated_weight(x[0], x[1], demodulate, 0.7);
  };
  const Tensors inputs{normal({3, 4}, 1), normal({2, 4}, 2)};
  testing::expect_gradients(f, inputs);
  testing::expect_second_gradients(f, inputs);
}

/// Second derivatives, of the style's gradient alone or of both, first ones and values.
Tensors derivatives(KernelPath path, bool demodulate, bool only_style,
                    at::Device device = at::kCPU) {
  const KernelPathGuard guard(path);
  const at::Tensor w = normal({70, 33}, 1).to(device).requires_grad_(true),
                   s = normal({3, 33}, 2).to(device).requires_grad_(true),
                   dy = normal({3, 70, 33}, 3).to(device).requires_grad_(true);
  const at::Tensor y = modulated_weight(w, s, demodulate, 0.7);
  const Tensors first =
      torch::autograd::grad({y}, only_style ? Tensors{s} : Tensors{s, w}, {dy}, true, true, false);
  at::Tensor loss = (first[0] * normal({3, 33}, 4).to(device)).sum();
  if (!only_style) loss = loss + (first[1] * normal({70, 33}, 5).to(device)).sum();
  Tensors all = torch::autograd::grad({loss}, {dy, w, s}, {}, false, false, true);
  all.insert(all.end(), first.begin(), first.end());
  all.push_back(y);
  // Without demodulation the gradient of the style does not depend on it.
  for (at::Tensor& t : all) t = t.defined() ? t.detach() : at::zeros({3, 33}, w.options());
  return all;
}

TEST_P(ModulatedWeight, HasTheDerivativesOfTheComposition) {
  for (const bool only_style : {true, false}) {
    const Tensors fused = derivatives(KernelPath::fused, GetParam(), only_style);
    const Tensors plain = derivatives(KernelPath::plain, GetParam(), only_style);
    for (size_t k = 0; k < plain.size(); ++k)
      EXPECT_TRUE(at::allclose(fused[k], plain[k], 1e-11, 1e-11)) << k;
  }
}

TEST(ModulatedWeightCuda, EqualsTheCpu) {
  if (!at::hasCUDA())
    GTEST_SKIP() << "NO GPU: the CUDA body of modulated_weight is not tested on this machine";
  for (const bool demodulate : {true, false}) {
    for (const bool only_style : {true, false}) {
      const Tensors cpu = derivatives(KernelPath::fused, demodulate, only_style);
      const Tensors gpu = derivatives(KernelPath::fused, demodulate, only_style, at::kCUDA);
      for (size_t k = 0; k < cpu.size(); ++k)
        EXPECT_TRUE(at::allclose(cpu[k], gpu[k].cpu(), 1e-10, 1e-10)) << k;
    }
  }
}

TEST_P(ModulatedWeight, DoesNotDependOnThreads) {
  const auto all = [](int threads) {
    const int before = at::get_num_threads();
    at::set_num_threads(threads);
    const at::Tensor w = normal({300, 130}, 1).to(at::kFloat).requires_grad_(true),
                     s = normal({4, 130}, 2).to(at::kFloat).requires_grad_(true);
    const at::Tensor y = modulated_weight(w, s, GetParam());
    const Tensors first = torch::autograd::grad(
        {y}, {w, s}, {normal({4, 300, 130}, 3).to(at::kFloat)}, true, true, false);
    const Tensors second = torch::autograd::grad(
        {first[0].square().sum() + first[1].square().sum()}, {w, s}, {}, false, false, false);
    at::set_num_threads(before);
    return Tensors{y, first[0], first[1], second[0], second[1]};
  };
  const Tensors one = all(1), three = all(3);
  for (size_t k = 0; k < one.size(); ++k) EXPECT_TRUE(at::equal(one[k], three[k])) << k;
}

INSTANTIATE_TEST_SUITE_P(Demodulates, ModulatedWeight, ::testing::Bool());

TEST(ModulatedWeightInput, HandlesEmptyOnes) {
  EXPECT_EQ(modulated_weight(normal({3, 4}, 1), normal({0, 4}, 2), true).numel(), 0);
  EXPECT_EQ(modulated_weight(normal({0, 4}, 1), normal({2, 4}, 2), true).numel(), 0);
}

TEST(ModulatedWeightInput, TakesAnyStrides) {
  const at::Tensor w = normal({4, 3}, 1).t(), s = normal({4, 2}, 2).t();
  EXPECT_TRUE(at::equal(modulated_weight(w, s, true),
                        modulated_weight(w.contiguous(), s.contiguous(), true)));
}

TEST(ModulatedWeightInput, RefusesWhatDoesNotFit) {
  const at::Tensor w = normal({3, 4}, 1), s = normal({2, 4}, 2);
  expect_refused([&] { modulated_weight(w, normal({2, 5}, 2), true); }, "[2, 5]");
  expect_refused([&] { modulated_weight(w.unsqueeze(0), s, true); }, "[1, 3, 4]");
  expect_refused([&] { modulated_weight(w, s.to(at::kFloat), true); }, "same type");
  expect_refused([&] { modulated_weight(w.to(at::kHalf), s.to(at::kHalf), true); }, "float32");
}

TEST(ModulatedWeightInput, RefusesTheThirdDerivative) {
  const KernelPathGuard guard(KernelPath::fused);  // the composition has it
  const at::Tensor w = normal({3, 4}, 1).requires_grad_(true),
                   s = normal({2, 4}, 2).requires_grad_(true);
  const auto sum_of_gradient = [&](const at::Tensor& loss) {
    return torch::autograd::grad({loss}, {s}, {}, true, true, false)[0].square().sum();
  };
  const at::Tensor second = sum_of_gradient(sum_of_gradient(modulated_weight(w, s, true).sum()));
  expect_refused([&] { sum_of_gradient(second); }, "third derivative");
}

}  // namespace
}  // namespace galette
