// SPDX-License-Identifier: Apache-2.0
// Which instruction set is used, and that the vectorised operators give the same with each.
#include "kernels/cpu_isa.h"

#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/affine_resample.h"
#include "kernels/bias_act.h"
#include "kernels/filtered_lrelu.h"
#include "kernels/upfirdn2d.h"
#include "tests/support/gradcheck.h"

namespace galette {
namespace {

using testing::normal;

std::vector<CpuIsa> sets_of_this_machine() {
  std::vector<CpuIsa> result;
  for (const CpuIsa isa : {CpuIsa::baseline, CpuIsa::avx2, CpuIsa::avx512})
    if (isa <= largest_cpu_isa()) result.push_back(isa);
  return result;
}

/// `op` with each instruction set against the baseline's results.
void expect_equal_on_all(const std::function<at::Tensor()>& op) {
  const CpuIsaGuard outer(CpuIsa::baseline);
  const at::Tensor expected = op();
  for (const CpuIsa isa : sets_of_this_machine()) {
    const CpuIsaGuard guard(isa);
    // A fused multiply-add rounds once where the baseline rounds twice.
    const double error = (op() - expected).abs().max().item<double>();
    EXPECT_LE(error, 1e-5 * expected.abs().max().item<double>()) << cpu_isa_name(isa);
  }
}

TEST(CpuIsa, FollowsTheGuard) {
  const CpuIsa before = cpu_isa();
  {
    const CpuIsaGuard guard(CpuIsa::baseline);
    EXPECT_EQ(cpu_isa(), CpuIsa::baseline);
    EXPECT_EQ(vector_bytes(), 32);
  }
  EXPECT_EQ(cpu_isa(), before);
  if (largest_cpu_isa() < CpuIsa::avx512) {
    EXPECT_THROW(CpuIsaGuard guard(CpuIsa::avx512), std::runtime_error);
  }
}

TEST(CpuIsa, OperatorsGiveTheSameWithEachSet) {
  const at::Tensor x = normal({2, 3, 21, 27}, 1).to(at::kFloat);
  const at::Tensor bias = normal({3}, 2).to(at::kFloat), f = normal({12}, 3).to(at::kFloat);
  expect_equal_on_all([&] { return bias_act(x, bias, Activation::kSwish); });
  expect_equal_on_all([&] { return upfirdn2d(x, f, {.up = {2, 2}, .padding = {6, 5, 6, 5}}); });
  expect_equal_on_all([&] {
    return filtered_lrelu(x, bias, f, f, {.up = 2, .down = 2, .padding = {11, 10, 11, 10}});
  });
  const at::Tensor turn =
      at::tensor({0.8, -0.6, 0.1, 0.6, 0.8, -0.2, 0.0, 0.0, 1.0}).view({1, 3, 3}).expand({2, 3, 3});
  expect_equal_on_all([&] { return affine_resample(x, affine_paths(turn, 21, 27)); });
}

}  // namespace
}  // namespace galette
