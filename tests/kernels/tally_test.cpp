// SPDX-License-Identifier: Apache-2.0
// Tallies against LibTorch's sums.
#include "kernels/tally.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "tests/support/gradcheck.h"
#include "tests/support/refusal.h"

namespace galette {
namespace {

using testing::expect_refused;
using testing::normal;

at::Tensor moments(const at::Tensor& values) {
  const at::Tensor v = values.to(at::kDouble).flatten();
  const at::Tensor count = at::full({}, static_cast<double>(v.numel()), at::kDouble);
  return at::stack({count, v.sum(), v.dot(v)});
}

/// Values of both signs with zeros of both kinds.
at::Tensor some_values(at::ScalarType type) {
  const at::Tensor values = normal({7, 81}, 1);
  values[2].zero_();
  values[3].fill_(-0.0);
  return values.to(type);
}

TEST(Tally, AddsCountSumAndSquares) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
    for (const at::Tensor& values : {some_values(type), some_values(type).t(),
                                     some_values(type)[0][0], at::empty({0, 3}, type)}) {
      const at::Tensor sums = at::tensor({1.0, 2.0, 3.0}, at::kDouble);
      const at::Tensor expected = sums + moments(values);
      add_tally(Tally::moments, values, sums);
      EXPECT_TRUE(at::allclose(sums, expected, 1e-13, 1e-13)) << sums << expected;
    }
  }
}

TEST(Tally, OfScoresCountsTheirSignsToo) {
  const at::Tensor values = some_values(at::kFloat);
  const at::Tensor sums = at::ones({2, 3}, at::kDouble);
  const at::Tensor expected = at::stack({moments(values), moments(values.sign())}) + 1;
  add_tally(Tally::scores, values, sums);
  EXPECT_TRUE(at::allclose(sums, expected, 1e-13, 1e-13)) << sums << expected;
}

TEST(Tally, OfSignsCounts) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const at::Tensor values =
      at::tensor({1.0F, -2.0F, 0.0F, -0.0F, NAN, kInfinity, -kInfinity, 3.0F, NAN});
  const at::Tensor sums = at::tensor({10, 20, 30, 40}, at::kLong);
  add_tally(Tally::signs, values, sums);
  EXPECT_TRUE(at::equal(sums, at::tensor({13, 22, 39, 42}, at::kLong))) << sums;
}

TEST(Tally, NanSpoilsMomentsButNotThoseOfSigns) {
  const at::Tensor sums = at::zeros({2, 3}, at::kDouble);
  add_tally(Tally::scores, at::tensor({NAN, -1.0F}), sums);
  EXPECT_TRUE(std::isnan(sums[0][1].item<double>()));
  EXPECT_TRUE(at::equal(sums[1], at::tensor({2.0, -1.0, 1.0}, at::kDouble)));
}

TEST(Tally, NamesWhatIsWrong) {
  const at::Tensor v = at::ones({4}), sums = at::zeros({3}, at::kDouble);
  expect_refused([&] { add_tally(Tally::moments, v.to(at::kInt), sums); }, "type Int");
  expect_refused([&] { add_tally(Tally::moments, v, v); }, "float64 [3]");
  expect_refused([&] { add_tally(Tally::scores, v, sums); }, "float64 [2, 3]");
  expect_refused([&] { add_tally(Tally::signs, v, sums); }, "int64 [4]");
}

TEST(TallyCuda, EqualsTheCpu) {
  if (!at::hasCUDA())
    GTEST_SKIP() << "NO GPU: the CUDA body of tally is not tested on this machine";
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kHalf}) {
    const at::Tensor values = some_values(type);
    const at::Tensor cpu = at::ones({2, 3}, at::kDouble), gpu = cpu.cuda();
    const at::Tensor counts = at::ones({4}, at::kLong), gpu_counts = counts.cuda();
    add_tally(Tally::scores, values, cpu);
    add_tally(Tally::scores, values.cuda(), gpu);
    EXPECT_TRUE(at::allclose(cpu, gpu.cpu(), 1e-12, 1e-12));
    add_tally(Tally::signs, values, counts);
    add_tally(Tally::signs, values.cuda(), gpu_counts);
    EXPECT_TRUE(at::equal(counts, gpu_counts.cpu()));
  }
}

}  // namespace
}  // namespace galette
