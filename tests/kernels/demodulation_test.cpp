// SPDX-License-Identifier: Apache-2.0
// demodulation against the formula in ATen, its derivatives against central differences and the
// composition, its independence of threads, and wrong input.
#include "kernels/demodulation.h"

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

/// With a weight for every sample; a relative epsilon by bringing both factors to unit power.
at::Tensor by_definition(const at::Tensor& w, const at::Tensor& s, DemodulationEpsilon epsilon) {
  const at::Tensor taps = w.reshape({w.size(0), w.size(1), -1});
  const at::Tensor u = taps.unsqueeze(0) * s.unsqueeze(1).unsqueeze(3);
  if (epsilon == DemodulationEpsilon::absolute) return 1 / (u.square().sum({2, 3}) + 1e-8).sqrt();
  const at::Tensor power =
      s.square().mean({1}, true).sqrt() * taps.square().mean({1, 2}).sqrt().unsqueeze(0);
  const at::Tensor scaled = u / power.unsqueeze(2).unsqueeze(3);
  return 1 / (scaled.square().sum({2, 3}) + 1e-8).sqrt() / power;
}

// One element, fewer and more outputs than a part, with and without taps.
const std::vector<std::pair<std::vector<int64_t>, int64_t>> kSizes = {
    {{1, 1}, 1}, {{5, 7, 3, 3}, 2}, {{70, 33, 1, 1}, 3}, {{33, 64}, 1}, {{40, 17, 3, 3}, 4}};

class Demodulation : public ::testing::TestWithParam<DemodulationEpsilon> {};

TEST_P(Demodulation, EqualsTheFormula) {
  // Small factors make the epsilon count.
  for (const double scale : {1.0, 1e-3}) {
    for (const auto& [shape, samples] : kSizes) {
      const at::Tensor w = normal(shape, 1) * scale, s = normal({samples, shape[1]}, 2) * scale;
      const at::Tensor expected = by_definition(w, s, GetParam());
      EXPECT_TRUE(at::allclose(demodulation(w, s, GetParam()), expected, 1e-12, 1e-12));
      const at::Tensor single = demodulation(w.to(at::kFloat), s.to(at::kFloat), GetParam());
      EXPECT_EQ(single.scalar_type(), at::kFloat);
      // Roundings of sums of up to 600 terms, halved by the root.
      EXPECT_TRUE(at::allclose(single.to(at::kDouble), expected, 3e-6, 0));
    }
  }
}

TEST_P(Demodulation, HasTheDerivativesOfTheFormula) {
  const DemodulationEpsilon epsilon = GetParam();
  const testing::Operator f = [epsilon](const Tensors& x) {
    return demodulation(x[0], x[1], epsilon);
  };
  const Tensors inputs{normal({3, 4, 1, 2}, 1), normal({2, 4}, 2)};
  testing::expect_gradients(f, inputs);
  testing::expect_second_gradients(f, inputs);
}

/// Values, first and second derivatives, the latter of the style's gradient alone or of both.
Tensors derivatives(KernelPath path, DemodulationEpsilon epsilon, bool only_style, double scale,
                    at::Device device = at::kCPU) {
  const KernelPathGuard guard(path);
  const at::Tensor w = (normal({40, 17, 3, 3}, 1) * scale).to(device).requires_grad_(true),
                   s = (normal({3, 17}, 2) * scale).to(device).requires_grad_(true),
                   g = normal({3, 40}, 3).to(device).requires_grad_(true);
  const at::Tensor d = demodulation(w, s, epsilon);
  const Tensors first =
      torch::autograd::grad({d}, only_style ? Tensors{s} : Tensors{s, w}, {g}, true, true, false);
  at::Tensor loss = (first[0] * normal({3, 17}, 4).to(device)).sum();
  if (!only_style) loss = loss + (first[1] * normal({40, 17, 3, 3}, 5).to(device)).sum();
  Tensors all = torch::autograd::grad({loss}, {g, w, s}, {}, false, false, false);
  all.insert(all.end(), first.begin(), first.end());
  all.push_back(d);
  return all;
}

TEST_P(Demodulation, HasTheDerivativesOfTheComposition) {
  for (const double scale : {1.0, 1e-2}) {
    for (const bool only_style : {true, false}) {
      const Tensors fused = derivatives(KernelPath::fused, GetParam(), only_style, scale);
      const Tensors plain = derivatives(KernelPath::plain, GetParam(), only_style, scale);
      for (size_t k = 0; k < plain.size(); ++k) {
        const double largest = plain[k].abs().max().item<double>();
        EXPECT_LE((fused[k] - plain[k]).abs().max().item<double>(), 1e-11 * largest) << k;
      }
    }
  }
}

TEST_P(Demodulation, DoesNotDependOnThreads) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const Tensors one = derivatives(KernelPath::fused, GetParam(), false, 1);
  at::set_num_threads(3);
  const Tensors three = derivatives(KernelPath::fused, GetParam(), false, 1);
  at::set_num_threads(before);
  for (size_t k = 0; k < one.size(); ++k) EXPECT_TRUE(at::equal(one[k], three[k])) << k;
}

INSTANTIATE_TEST_SUITE_P(Epsilons, Demodulation,
                         ::testing::Values(DemodulationEpsilon::absolute,
                                           DemodulationEpsilon::relative));

TEST(DemodulationCuda, EqualsTheCpu) {
  if (!at::hasCUDA())
    GTEST_SKIP() << "NO GPU: the CUDA body of demodulation is not tested on this machine";
  for (const DemodulationEpsilon epsilon :
       {DemodulationEpsilon::absolute, DemodulationEpsilon::relative}) {
    for (const bool only_style : {true, false}) {
      const Tensors cpu = derivatives(KernelPath::fused, epsilon, only_style, 1e-2);
      const Tensors gpu = derivatives(KernelPath::fused, epsilon, only_style, 1e-2, at::kCUDA);
      for (size_t k = 0; k < cpu.size(); ++k)
        EXPECT_TRUE(at::allclose(cpu[k], gpu[k].cpu(), 1e-10, 1e-10)) << k;
    }
  }
}

TEST(DemodulationInput, HandlesEmptyOnes) {
  EXPECT_EQ(demodulation(normal({3, 4}, 1), normal({0, 4}, 2)).sizes(), at::IntArrayRef({0, 3}));
  EXPECT_EQ(demodulation(normal({0, 4, 3, 3}, 1), normal({2, 4}, 2)).numel(), 0);
}

TEST(DemodulationInput, TakesAnyStrides) {
  const at::Tensor w = normal({4, 3}, 1).t(), s = normal({4, 2}, 2).t();
  EXPECT_TRUE(at::equal(demodulation(w, s), demodulation(w.contiguous(), s.contiguous())));
}

TEST(DemodulationInput, RefusesWhatDoesNotFit) {
  const at::Tensor w = normal({3, 4, 3, 3}, 1), s = normal({2, 4}, 2);
  expect_refused([&] { demodulation(w, normal({2, 5}, 2)); }, "[2, 5]");
  expect_refused([&] { demodulation(w.flatten(2), s); }, "[3, 4, 9]");
  expect_refused([&] { demodulation(w, s.to(at::kFloat)); }, "same type");
  expect_refused([&] { demodulation(w.to(at::kHalf), s.to(at::kHalf)); }, "float32");
}

TEST(DemodulationInput, RefusesTheThirdDerivative) {
  const KernelPathGuard guard(KernelPath::fused);  // the composition has it
  const at::Tensor w = normal({3, 4}, 1).requires_grad_(true),
                   s = normal({2, 4}, 2).requires_grad_(true);
  const auto sum_of_gradient = [&](const at::Tensor& loss) {
    return torch::autograd::grad({loss}, {s}, {}, true, true, false)[0].square().sum();
  };
  const at::Tensor second = sum_of_gradient(sum_of_gradient(demodulation(w, s).sum()));
  expect_refused([&] { sum_of_gradient(second); }, "third derivative");
}

}  // namespace
}  // namespace galette
