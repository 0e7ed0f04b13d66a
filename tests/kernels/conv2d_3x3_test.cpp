// SPDX-License-Identifier: Apache-2.0
// conv2d_3x3 by minimal filtering against LibTorch's convolution in float64: values, first and
// second derivatives.
#include "kernels/conv2d_3x3.h"

#include <cmath>

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "kernels/cpu_isa.h"
#include "kernels/dispatch.h"
#include "tests/support/gradcheck.h"

namespace galette {
namespace {

using testing::normal;
using testing::Tensors;

struct Shape {
  int64_t samples, in, out, height, width, pad_y, pad_x;
};

// Whole and cut tiles, strips and blocks; whole and cut vectors of channels; few of them and many.
const Shape kShapes[] = {{2, 32, 32, 32, 32, 1, 1},   {3, 100, 97, 19, 22, 1, 1},
                         {2, 45, 70, 9, 130, 2, 0},   {64, 128, 96, 4, 4, 1, 1},
                         {2, 112, 160, 20, 37, 2, 2}, {9, 33, 40, 12, 11, 0, 1}};

/// The value, the gradients of a weighted sum of it, and those of a sum of these.
Tensors derivatives(const Shape& s, at::ScalarType type) {
  const at::Tensor x = normal({s.samples, s.in, s.height, s.width}, 1).to(type).requires_grad_();
  const double scale = std::sqrt(9.0 * static_cast<double>(s.in));
  const at::Tensor w = (normal({s.out, s.in, 3, 3}, 2) / scale).to(type).requires_grad_();
  const at::Tensor y = conv2d_3x3(x, w, s.pad_y, s.pad_x);
  const at::Tensor dy = normal(y.sizes(), 3).to(type).requires_grad_();
  const Tensors first = torch::autograd::grad({y}, {x, w}, {dy}, true, true);
  const Tensors second =
      torch::autograd::grad({first[0], first[1]}, {x, w, dy},
                            {normal(x.sizes(), 4).to(type), normal(w.sizes(), 5).to(type)});
  return {y, first[0], first[1], second[0], second[1], second[2]};
}

TEST(Conv3x3, ValuesAndTwoDerivativesEqualTheDefinition) {
  for (const Shape& s : kShapes)
    for (const CpuIsa isa : {CpuIsa::baseline, CpuIsa::avx2, CpuIsa::avx512}) {
      if (isa > largest_cpu_isa()) continue;
      const CpuIsaGuard guard(isa);
      const Tensors ours = derivatives(s, at::kFloat), exact = derivatives(s, at::kDouble);
      for (size_t i = 0; i < exact.size(); ++i) {
        ASSERT_EQ(ours[i].sizes(), exact[i].sizes());
        const double error = (ours[i].to(at::kDouble) - exact[i]).abs().max().item<double>();
        // Float32 sums of up to 10,000 products; the transforms make their errors some six times
        // larger than those of the definition; 4e-6 were seen.
        EXPECT_LE(error, 8e-6 * exact[i].abs().max().item<double>())
            << "result " << i << " of " << s.in << " -> " << s.out << " channels, " << s.height
            << " x " << s.width << " on " << cpu_isa_name(isa);
      }
    }
}

TEST(Conv3x3, DoesNotDependOnTheNumberOfThreads) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const Tensors one = derivatives(kShapes[1], at::kFloat);
  at::set_num_threads(3);
  const Tensors three = derivatives(kShapes[1], at::kFloat);
  at::set_num_threads(before);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(one[i].equal(three[i])) << "result " << i;
}

TEST(Conv3x3, PlainIsTheConvolutionOfLibTorch) {
  const KernelPathGuard guard(KernelPath::plain);
  const at::Tensor x = normal({2, 64, 32, 32}, 6).to(at::kFloat),
                   w = normal({64, 64, 3, 3}, 7).to(at::kFloat);
  EXPECT_TRUE(conv2d_3x3(x, w, 1, 1).equal(at::conv2d(x, w, {}, {1, 1}, {1, 1})));
}

TEST(Conv3x3, EmptyBatchesAreFine) {
  const at::Tensor x = at::zeros({0, 64, 32, 32}), w = at::ones({64, 64, 3, 3});
  EXPECT_EQ(conv2d_3x3(x, w, 1, 1).sizes(), (std::vector<int64_t>{0, 64, 32, 32}));
}

}  // namespace
}  // namespace galette
