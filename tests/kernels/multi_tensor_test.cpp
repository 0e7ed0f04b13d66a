// SPDX-License-Identifier: Apache-2.0
// The optimiser's flat-range operations against scalar formulas, and their independence of threads
// and of how a range is cut.
#include "kernels/multi_tensor.h"

#include <cmath>
#include <limits>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "tests/support/gradcheck.h"
#include "tests/support/refusal.h"

namespace galette {
namespace {

using testing::expect_refused;
using testing::normal;
using testing::Tensors;

constexpr int64_t kCount = 100003;  // more than one thread's share, and no multiple of a vector

struct State {
  at::Tensor theta, grad, v;
};

State state(at::ScalarType type, int64_t count = kCount) {
  return {normal({count}, 1).to(type), normal({count}, 2).to(type),
          normal({count}, 3).abs().to(type)};
}

TEST(AdamStep, EqualsTheFormula) {
  const AdamStep step{.lr = 0.002, .beta2 = 0.97, .eps = 1e-3, .step = 3, .grad_scale = 0.25};
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const State s = state(type);
    const at::Tensor theta = s.theta.to(at::kDouble), h = s.grad.to(at::kDouble) * 0.25;
    const at::Tensor v = 0.97 * s.v.to(at::kDouble) + 0.03 * h * h;
    const at::Tensor expected = theta - 0.002 * h / ((v / (1 - std::pow(0.97, 3))).sqrt() + 1e-3);
    EXPECT_EQ(adam_step(s.theta, s.grad, s.v, step), 0);
    const double tolerance = type == at::kFloat ? 1e-6 : 1e-14;  // a few roundings of the type
    EXPECT_TRUE(at::allclose(s.v.to(at::kDouble), v, tolerance, tolerance));
    EXPECT_TRUE(at::allclose(s.theta.to(at::kDouble), expected, tolerance, tolerance));
  }
}

TEST(AdamStep, ReplacesAndCountsValuesThatAreNotFinite) {
  const double inf = std::numeric_limits<double>::infinity();
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor grad = at::tensor({1.0, inf, -inf, NAN, -2.0}).to(type);
    const at::Tensor theta = at::zeros({5}, type), v = at::zeros({5}, type);
    // beta2 = 0.5 and the first step: v / (1 - beta2) is the square of the gradient.
    EXPECT_EQ(adam_step(theta, grad, v, {.lr = 1, .beta2 = 0.5}), 3);
    EXPECT_TRUE(at::allclose(v, at::tensor({0.5, 5e9, 5e9, 0.0, 2.0}).to(type)));
    EXPECT_TRUE(at::allclose(theta, at::tensor({-1.0, -1.0, 1.0, 0.0, 1.0}).to(type)));
  }
}

TEST(AdamStep, ScaleComesBeforeTheCheck) {
  // 3e38 * 10 overflows float32; 1e-3 of an infinity is still one.
  const at::Tensor grad = at::tensor({3e38f, 1.0f}), theta = at::zeros({2}), v = at::zeros({2});
  EXPECT_EQ(adam_step(theta, grad, v, {.lr = 1, .beta2 = 0.5, .grad_scale = 10}), 1);
  EXPECT_FLOAT_EQ(v[0].item<float>(), 5e9f);
}

TEST(AdamStep, DoesNotDependOnThreadsOrOnHowTheRangeIsCut) {
  const int threads = at::get_num_threads();
  const AdamStep step{.lr = 0.002, .beta2 = 0.99, .step = 7};
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const State whole = state(type), cut = state(type);
    at::set_num_threads(3);
    adam_step(whole.theta, whole.grad, whole.v, step);
    at::set_num_threads(1);
    for (int64_t begin = 0; begin < kCount; begin += 1237) {
      const int64_t end = std::min(kCount, begin + 1237);
      adam_step(cut.theta.slice(0, begin, end), cut.grad.slice(0, begin, end),
                cut.v.slice(0, begin, end), step);
    }
    at::set_num_threads(threads);
    EXPECT_TRUE(at::equal(whole.theta, cut.theta));
    EXPECT_TRUE(at::equal(whole.v, cut.v));
  }
}

TEST(EmaUpdate, BlendsAndCopiesExactlyAtZero) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const State s = state(type);
    const at::Tensor expected = s.grad + 0.75 * (s.theta - s.grad);
    const at::Tensor ema = s.theta.clone();
    ema_update(ema, s.grad, 0.75);
    EXPECT_TRUE(at::allclose(ema, expected, 1e-6, 1e-6));
    ema_update(ema, s.grad, 0);
    EXPECT_TRUE(at::equal(ema, s.grad));
  }
}

struct Segments {
  at::Tensor bounds, marks;
  explicit Segments(const std::vector<int64_t>& borders)
      : bounds(at::tensor(borders, at::kLong)), marks(at::zeros({bounds.numel() - 1}, at::kLong)) {}
  /// Those that bear a mark.
  std::vector<int64_t> marked(int64_t mark) const {
    const at::Tensor found = (marks == mark).nonzero().flatten().cpu();
    return {found.const_data_ptr<int64_t>(), found.const_data_ptr<int64_t>() + found.numel()};
  }
};
using Found = std::vector<int64_t>;

TEST(MarkNonFinite, FindsTheSegmentOfEveryBadValue) {
  const double inf = std::numeric_limits<double>::infinity();
  // Segments of one element and of none, and one longer than a thread's share.
  const std::vector<int64_t> borders{0, 1, 2, 2, 7, 7, 8, kCount - 1, kCount};
  const std::vector<std::pair<int64_t, int64_t>> places{
      {0, 0}, {1, 1}, {2, 3}, {6, 3}, {7, 5}, {8, 6}, {kCount - 2, 6}, {kCount - 1, 7}};
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const auto& [element, segment] : places) {
      for (const double bad : {std::nan(""), inf, -inf}) {
        const at::Tensor values = state(type).grad;
        Segments s(borders);
        mark_non_finite(values, 0, s.bounds, s.marks, 4);
        EXPECT_EQ(s.marked(4), Found{});
        values[element] = bad;
        mark_non_finite(values, 0, s.bounds, s.marks, 4);
        EXPECT_EQ(s.marked(4), Found{segment}) << "element " << element;
      }
    }
  }
}

TEST(MarkNonFinite, TakesTheLargestNumbersForFinite) {
  Segments s({0, 1, 2});
  const double largest = std::numeric_limits<double>::max();
  mark_non_finite(at::tensor({largest, -largest}), 0, s.bounds, s.marks, 1);
  mark_non_finite(at::tensor({3.4e38f, -3.4e38f}), 0, s.bounds, s.marks, 1);
  EXPECT_EQ(s.marked(1), Found{});
}

TEST(MarkNonFinite, LooksAtAPartAndLeavesOtherMarks) {
  Segments s({0, 10, 20, 30});
  const at::Tensor values = at::zeros({30}, at::kDouble);
  values[3] = values[12] = values[29] = NAN;
  mark_non_finite(values.slice(0, 4, 13), 4, s.bounds, s.marks, 1);
  EXPECT_EQ(s.marked(1), Found{1});
  mark_non_finite(values.slice(0, 12, 12), 12, s.bounds, s.marks, 2);
  EXPECT_EQ(s.marked(2), Found{});
  mark_non_finite(values.slice(0, 20), 20, s.bounds, s.marks, 2);
  EXPECT_EQ(s.marked(1), Found{1});
  EXPECT_EQ(s.marked(2), Found{2});
}

/// Addends of many layouts that fill a range but for some gaps.
std::vector<RangeAddend> addends(at::ScalarType type) {
  const Tensors values{normal({3, 4}, 1),
                       normal({}, 2),
                       normal({300, 200}, 3).t(),                      // more than a thread's share
                       normal({1}, 4).expand({5, 7}),                  // stride 0
                       normal({0, 3}, 5),                              // nothing
                       normal({1, 6, 1, 5}, 6).permute({3, 2, 1, 0}),  // a transposed matrix
                       normal({3, 4, 5}, 7).permute({2, 1, 0}),        // three strides
                       normal({9, 8}, 8).slice(1, 2, 7),               // rows with gaps
                       normal({4, 3}, 9).unsqueeze(2).expand({4, 3, 2}),
                       normal({20}, 10).slice(0, 0, 20, 3),
                       normal({150, 250}, 11)};
  std::vector<RangeAddend> result;
  int64_t offset = 2;
  for (const at::Tensor& v : values) {
    result.push_back({v.to(type, false, false, at::MemoryFormat::Preserve), offset});
    offset += v.numel() + 1;
  }
  return result;
}

/// The same by LibTorch.
void add_by_libtorch(const at::Tensor& range, const std::vector<RangeAddend>& addends) {
  for (const RangeAddend& a : addends)
    range.narrow(0, a.offset, a.values.numel()).add_(a.values.contiguous().view(-1));
}

TEST(AddToRange, EqualsOneAdditionAfterTheOther) {
  const int threads = at::get_num_threads();
  for (const int count : {1, 3}) {
    at::set_num_threads(count);
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
      const std::vector<RangeAddend> some = addends(type);
      const at::Tensor ours = state(type).grad, expected = ours.clone();
      add_to_range(ours, some);
      add_by_libtorch(expected, some);
      EXPECT_TRUE(at::equal(ours, expected));
    }
  }
  at::set_num_threads(threads);
}

TEST(AddToRange, TakesAnyNumber) {
  const at::Tensor range = at::zeros({1000});
  add_to_range(range, {});
  EXPECT_EQ(range.count_nonzero().item<int64_t>(), 0);
  std::vector<RangeAddend> many;
  for (int64_t i = 0; i < 1000; ++i) many.push_back({at::full({1}, i, at::kFloat), i});
  add_to_range(range, many);
  EXPECT_TRUE(at::equal(range, at::arange(1000, at::kFloat)));
}

TEST(MultiTensor, TakesEmptyRanges) {
  const State s = state(at::kFloat, 0);
  EXPECT_EQ(adam_step(s.theta, s.grad, s.v, {}), 0);
  ema_update(s.theta, s.v, 0.5);
}

TEST(MultiTensor, NamesWhatIsWrong) {
  const at::Tensor a = at::ones({4}), b = at::ones({4}), c = at::ones({4});
  expect_refused([&] { adam_step(a, at::ones({3}), c, {}); }, "adam_step: grad has 3 elements");
  expect_refused([&] { adam_step(a, b, c.to(at::kDouble), {}); }, "adam_step: v has 4 elements");
  expect_refused([&] { adam_step(at::ones({2, 2}), b, c, {}); }, "theta has shape [2, 2]");
  expect_refused([&] { adam_step(a, b, at::ones({8}).slice(0, 0, 8, 2), {}); }, "strides [2]");
  expect_refused([&] { adam_step(a.to(at::kInt), b, c, {}); }, "theta is of type Int");
  expect_refused([&] { adam_step(a, b, c, {.step = 0}); }, "step is 0");
  expect_refused([&] { adam_step(a, b, c, {.beta2 = 1}); }, "beta2 is 1");
  expect_refused([&] { adam_step(a, b, c, {.eps = 0}); }, "eps is 0");
  expect_refused([&] { ema_update(a, b, 1.5); }, "ema_update: beta is 1.5");
  expect_refused([&] { ema_update(a, at::Tensor(), 0.5); }, "value is not defined");
  const at::Tensor bounds = at::tensor({0, 4}, at::kLong), marks = at::zeros({1}, at::kLong);
  expect_refused([&] { add_to_range(a, {{at::ones({2}), 3}}); }, "2 values at 3");
  expect_refused([&] { add_to_range(a, {{at::ones({2}), -1}}); }, "2 values at -1");
  expect_refused([&] { add_to_range(a, {{at::ones({1}, at::kDouble), 0}}); }, "must be Float");
  expect_refused([&] { mark_non_finite(a.to(at::kInt), 0, bounds, marks, 1); }, "type Int");
  expect_refused([&] { mark_non_finite(a, 0, b, marks, 1); }, "bounds must be one");
  expect_refused([&] { mark_non_finite(a, 0, bounds, c, 1); }, "marks must be one");
  expect_refused([&] { mark_non_finite(a, 0, bounds, bounds, 1); }, "2 bounds and 2 marks");
}

TEST(MultiTensorCuda, EqualsTheCpu) {
  if (!at::hasCUDA())
    GTEST_SKIP() << "NO GPU: the CUDA body of multi_tensor is not tested on this machine";
  const State cpu = state(at::kDouble), source = state(at::kDouble);
  source.grad[5] = NAN;
  cpu.grad[5] = NAN;
  const State gpu{source.theta.cuda(), source.grad.cuda(), source.v.cuda()};
  const AdamStep step{.lr = 0.002, .step = 2};
  EXPECT_EQ(adam_step(cpu.theta, cpu.grad, cpu.v, step), 1);
  EXPECT_EQ(adam_step(gpu.theta, gpu.grad, gpu.v, step), 1);
  EXPECT_TRUE(at::allclose(cpu.theta, gpu.theta.cpu(), 1e-13, 1e-13));
  ema_update(cpu.v, cpu.theta, 0.9);
  ema_update(gpu.v, gpu.theta, 0.9);
  EXPECT_TRUE(at::allclose(cpu.v, gpu.v.cpu(), 1e-13, 1e-13));
  std::vector<RangeAddend> some = addends(at::kDouble);
  add_to_range(cpu.theta, some);
  for (RangeAddend& addend : some) addend.values = addend.values.cuda();
  add_to_range(gpu.theta, some);
  EXPECT_TRUE(at::allclose(cpu.theta, gpu.theta.cpu(), 1e-13, 1e-13));
  Segments s({0, 5, 6, kCount});
  s.bounds = s.bounds.cuda();
  s.marks = s.marks.cuda();
  mark_non_finite(gpu.grad, 0, s.bounds, s.marks, 3);
  EXPECT_EQ(s.marked(3), Found{1});
}

}  // namespace
}  // namespace galette
