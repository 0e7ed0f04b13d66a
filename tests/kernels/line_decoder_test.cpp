// SPDX-License-Identifier: Apache-2.0
// The fused line_decoder against its composition, against central differences, and on wrong input.
#include "kernels/line_decoder.h"

#include <cmath>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "kernels/cpu_isa.h"
#include "kernels/dispatch.h"
#include "tests/support/gradcheck.h"
#include "tests/support/refusal.h"

namespace galette {
namespace {

using testing::expect_refused;
using testing::normal;
using testing::Tensors;

struct Shape {
  int64_t samples, height, width, rank;
  std::vector<int64_t> channels;
  bool has_x = true;
  std::vector<size_t> heads{};  ///< layers before each
  bool per_sample = false;      ///< weights, but for those of the first layer
  double clamp = 1;             ///< on some of the layers; some values reach it
};

// Widths of a panel and others, tiles that end with an image and others, rows shorter and longer
// than a tile, images of one pixel; several heads on a level.
const Shape kShapes[] = {
    {2, 9, 11, 8, {32, 64, 128, 64, 32}},
    {3, 7, 11, 3, {6, 12, 24, 12, 6}},
    {1, 2, 60, 8, {32, 64, 128, 64, 32}, false},
    {2, 1, 1, 1, {5, 17}},
    {1, 49, 2, 4, {16, 33, 3}, false},
    {2, 9, 7, 2, {6, 12, 24, 6}, true, {3, 1, 3, 0}},
    {2, 7, 8, 8, {32, 64, 128, 64, 32, 128, 128, 64, 64}, true, {4, 6, 8}, true}};

constexpr int64_t kImageChannels = 3;

/// {rows, columns, weights and biases in turn, x if there is one}.
Tensors inputs(const Shape& s, at::ScalarType type) {
  Tensors result{normal({s.samples * s.channels[0], s.height, s.rank}, 1),
                 normal({s.samples * s.channels[0], s.rank, s.width}, 2)};
  const auto add_layer = [&](int64_t in, int64_t out) {
    const auto seed = static_cast<uint64_t>(result.size());
    const double scale = 1 / std::sqrt(static_cast<double>(in));
    const bool own = s.per_sample && seed > 2;
    result.push_back(
        (own ? normal({s.samples, out, in}, 50 + seed) : normal({out, in}, 50 + seed)) * scale);
    result.push_back(normal({out}, 51 + seed) * 0.1);
  };
  for (size_t k = 0; k + 1 < s.channels.size(); ++k) add_layer(s.channels[k], s.channels[k + 1]);
  for (const size_t after : s.heads) add_layer(s.channels[after], kImageChannels);
  if (s.has_x) result.push_back(normal({s.samples, s.channels[0], s.height * s.width}, 20));
  for (at::Tensor& t : result) t = t.to(type);
  return result;
}

at::Tensor decode(const Shape& s, const Tensors& in, KernelPath path) {
  const KernelPathGuard guard(path);
  std::vector<DecoderLayer> layers;
  std::vector<DecoderHead> heads;
  size_t next = 2;
  for (size_t k = 0; k + 1 < s.channels.size(); ++k, next += 2) {
    layers.push_back(
        {in[next], in[next + 1], k % 2 == 1 ? std::optional(1.5 * s.clamp) : std::nullopt});
  }
  for (const size_t after : s.heads) {
    heads.push_back(
        {{in[next], in[next + 1], after == 0 ? std::nullopt : std::optional(s.clamp)}, after});
    next += 2;
  }
  return line_decoder(s.has_x ? in[next] : at::Tensor(), in[0], in[1], layers, heads);
}

/// Values, gradients, and the gradients of gradients as regularisers take them: of a norm of the
/// gradient with respect to the first `differentiated` inputs.
Tensors derivatives(const Shape& s, const Tensors& in, KernelPath path, size_t differentiated) {
  Tensors leaves;
  for (const at::Tensor& t : in) leaves.push_back(t.detach().requires_grad_());
  const at::Tensor y = decode(s, leaves, path);
  const at::Tensor dy = normal(y.sizes(), 30).to(y.options()).requires_grad_();
  Tensors all = torch::autograd::grad({y}, leaves, {dy}, true);
  const Tensors inner(leaves.begin(), leaves.begin() + static_cast<int64_t>(differentiated));
  Tensors cotangents;
  for (size_t i = 0; i < inner.size(); ++i)
    cotangents.push_back(normal(inner[i].sizes(), 40 + i).to(y.options()));
  const Tensors gradients = torch::autograd::grad({y}, inner, {dy}, true, true);
  leaves.push_back(dy);
  const Tensors second =
      torch::autograd::grad(gradients, leaves, cotangents, std::nullopt, false, true);
  all.push_back(y);
  for (size_t i = 0; i < second.size(); ++i)
    all.push_back(second[i].defined() ? second[i] : at::zeros_like(leaves[i]));
  return all;
}

void expect_close(const Tensors& ours, const Tensors& expected, double tolerance) {
  ASSERT_EQ(ours.size(), expected.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    ASSERT_EQ(ours[i].sizes(), expected[i].sizes()) << i;
    const double scale = std::max(1.0, expected[i].abs().max().item<double>());
    EXPECT_LE((ours[i] - expected[i]).abs().max().item<double>(), tolerance * scale) << i;
  }
}

TEST(LineDecoder, EqualsTheCompositionInValuesAndTwoDerivatives) {
  const testing::OneThread one_thread;
  for (const Shape& s : kShapes) {
    const Tensors in = inputs(s, at::kDouble);
    // With respect to the lines alone, as path-length regularisation does; and to everything.
    for (const size_t differentiated : {size_t{2}, in.size()}) {
      const Tensors expected = derivatives(s, in, KernelPath::plain, differentiated);
      // The same sums of up to a few hundred terms in another order.
      expect_close(derivatives(s, in, KernelPath::fused, differentiated), expected, 1e-12);
    }
  }
}

/// Errors relative to the norm of what is expected.
struct Tolerance {
  double value, derivatives;
};

/// The fused body in `type` on `device` against the composition in float64 on the CPU.
void expect_near_float64(Shape s, at::ScalarType type, at::Device device,
                         const Tolerance& tolerance) {
  s.clamp = 1e3;  // at a clamp, another rounding makes another derivative
  Tensors narrow, wide;
  for (const at::Tensor& t : inputs(s, type)) {
    narrow.push_back(t.to(device));
    wide.push_back(t.to(at::kDouble));
  }
  const Tensors expected = derivatives(s, wide, KernelPath::plain, 2);
  const Tensors ours = derivatives(s, narrow, KernelPath::fused, 2);
  for (size_t i = 0; i < ours.size(); ++i) {
    const at::Tensor error = ours[i].cpu().to(at::kDouble) - expected[i];
    const double most = i == narrow.size() ? tolerance.value : tolerance.derivatives;
    EXPECT_LE(error.norm().item<double>(), most * expected[i].norm().item<double>()) << i;
  }
}

TEST(LineDecoder, Float32EqualsFloat64) {
  const testing::OneThread one_thread;
  // Roundings of 6e-8 over up to eight layers. Where a sum is zero but for them, one pixel's
  // derivatives take the other slope: up to a hundredth of all in images this small.
  for (const Shape& s : kShapes) expect_near_float64(s, at::kFloat, at::kCPU, {2e-5, 2e-2});
}

TEST(LineDecoder, EqualsTheCompositionWithEveryInstructionSet) {
  const testing::OneThread one_thread;
  for (const CpuIsa isa : {CpuIsa::baseline, CpuIsa::avx2, CpuIsa::avx512}) {
    if (isa > largest_cpu_isa()) continue;
    const CpuIsaGuard guard(isa);
    for (const Shape& s : kShapes) {
      const Tensors in = inputs(s, at::kDouble);
      expect_close(derivatives(s, in, KernelPath::fused, 2),
                   derivatives(s, in, KernelPath::plain, 2), 1e-12);
    }
  }
}

TEST(LineDecoder, FirstAndSecondDerivativesEqualDifferences) {
  const Shape s{2, 2, 3, 2, {3, 4, 3}};
  const testing::Operator op = [&](const Tensors& in) { return decode(s, in, KernelPath::fused); };
  testing::expect_gradients(op, inputs(s, at::kDouble));
  testing::expect_second_gradients(op, inputs(s, at::kDouble));
}

TEST(LineDecoder, HasTheSameBitsOnAnyThreads) {
  const Shape s{3, 12, 20, 8, {32, 64, 128, 64, 32}};
  const Tensors in = inputs(s, at::kFloat);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Tensors one = derivatives(s, in, KernelPath::fused, 2);
  at::set_num_threads(3);
  const Tensors three = derivatives(s, in, KernelPath::fused, 2);
  at::set_num_threads(threads);
  // The first two are gradients of lines, products of LibTorch, which only promises them for one
  // number of threads.
  for (size_t i = 2; i < in.size() + 1; ++i) EXPECT_TRUE(at::equal(one[i], three[i])) << i;
}

TEST(LineDecoder, APixelDoesNotDependOnItsPlace) {
  const Shape s{1, 5, 60, 8, {32, 64, 128, 64, 32}, false};
  Tensors in = inputs(s, at::kFloat);
  const at::Tensor whole = decode(s, in, KernelPath::fused).view({32, 5, 60});
  in[0] = in[0].narrow(1, 1, 3);
  in[1] = in[1].narrow(2, 7, 50);
  EXPECT_TRUE(at::equal(decode(s, in, KernelPath::fused).view({32, 3, 50}),
                        whole.narrow(1, 1, 3).narrow(2, 7, 50)));
}

TEST(LineDecoder, TakesEmptyBatchesAndSixteenBits) {
  const Shape s{2, 4, 5, 3, {6, 12, 6}};
  const Tensors in = inputs(s, at::kBFloat16);
  EXPECT_EQ(decode(s, in, KernelPath::fused).scalar_type(), at::kBFloat16);
  Tensors none = inputs(s, at::kFloat);
  none[0] = at::ones({0, 4, 3}), none[1] = at::ones({0, 3, 5});
  none.back() = at::ones({0, 6, 20});
  EXPECT_EQ(decode(s, none, KernelPath::fused).sizes(), at::IntArrayRef({0, 6, 20}));
}

TEST(LineDecoder, ThirdDerivativeIsRefused) {
  const testing::OneThread one_thread;
  const Shape s{1, 2, 2, 2, {3, 3}};
  Tensors in = inputs(s, at::kDouble);
  for (at::Tensor& t : in) t.requires_grad_();
  const at::Tensor y = decode(s, in, KernelPath::fused).square().sum();
  const at::Tensor first = torch::autograd::grad({y}, {in[0]}, {}, true, true)[0];
  const at::Tensor second =
      torch::autograd::grad({first.square().sum()}, {in[0]}, {}, true, true)[0];
  expect_refused([&] { torch::autograd::grad({second.square().sum()}, {in[2]}); },
                 "the third derivative is not implemented");
}

TEST(LineDecoderErrors, NameWhatIsWrong) {
  const at::Tensor rows = at::ones({6, 4, 2}), columns = at::ones({6, 2, 5});
  const DecoderLayer layer{at::ones({7, 3}), at::ones({7})};
  using Layers = std::vector<DecoderLayer>;
  using Heads = std::vector<DecoderHead>;
  const auto call = [&](const Layers& layers, const Heads& heads = {}) {
    return [=] { line_decoder({}, rows, columns, layers, heads); };
  };
  expect_refused([&] { line_decoder({}, rows[0], columns, {layer}); }, "rows have shape [4, 2]");
  expect_refused([&] { line_decoder({}, rows, columns.transpose(1, 2), {layer}); },
                 "columns [6, 5, 2]");
  expect_refused(
      [&] {
        line_decoder(at::ones({2, 3, 4, 5}), rows, columns, {layer});
      },
      "x has shape [2, 3, 4, 5]; give [2, 3, 20]");
  expect_refused(call({}), "no layers");
  expect_refused(call({{at::ones({7}), layer.bias}}), "a weight has shape [7]");
  expect_refused(call({{layer.weight, layer.weight}}), "a bias has shape [7, 3]");
  expect_refused(call({layer, layer}), "follows a layer of 7 channels");
  expect_refused(call({{at::ones({7, 4}), layer.bias}}), "no multiple");
  expect_refused(call({{at::ones({3, 7, 3}), layer.bias}}), "[3, 7, 3] for 2 samples");
  expect_refused(call({{layer.weight.to(at::kDouble), layer.bias}}), "a weight is Double");
  expect_refused(call({{layer.weight, layer.bias, 0.0}}), "clamp is 0");
  expect_refused(call({layer}, {{layer, 0}}), "no head acts on the last layer");
  expect_refused(call({layer}, {{layer, 2}}), "a head after 2 layers, of 1");
  expect_refused(call({layer}, {{layer, 1}}), "follows a layer of 7 channels");
}

constexpr char kNoGpu[] = "NO GPU: the CUDA body of line_decoder is not tested on this machine";

TEST(LineDecoderCuda, EqualsTheCompositionInFloat64) {
  if (!at::hasCUDA()) GTEST_SKIP() << kNoGpu;
  const bool before = at::globalContext().allowTF32CuBLAS();
  for (const Shape& s : kShapes) {
    at::globalContext().setAllowTF32CuBLAS(false);
    expect_near_float64(s, at::kFloat, at::kCUDA, {2e-5, 2e-2});
    // Factors of 10 bits after the point, as for float16; 7 for bfloat16.
    at::globalContext().setAllowTF32CuBLAS(true);
    expect_near_float64(s, at::kFloat, at::kCUDA, {1e-2, 0.2});
    expect_near_float64(s, at::kHalf, at::kCUDA, {1e-2, 0.2});
    expect_near_float64(s, at::kBFloat16, at::kCUDA, {5e-2, 0.5});
  }
  at::globalContext().setAllowTF32CuBLAS(before);
}

TEST(LineDecoderCuda, HasTheSameBitsEachTimeAndTakesEmptyBatches) {
  if (!at::hasCUDA()) GTEST_SKIP() << kNoGpu;
  const Shape s{3, 40, 70, 8, {32, 64, 128, 64, 32}};
  Tensors in = inputs(s, at::kFloat);
  for (at::Tensor& t : in) t = t.cuda();
  const Tensors one = derivatives(s, in, KernelPath::fused, 2);
  const Tensors other = derivatives(s, in, KernelPath::fused, 2);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], other[i])) << i;
  in[0] = in[0].narrow(0, 0, 0);
  in[1] = in[1].narrow(0, 0, 0);
  in.back() = in.back().narrow(0, 0, 0);
  EXPECT_EQ(decode(s, in, KernelPath::fused).sizes(), at::IntArrayRef({0, 32, 2800}));
}

TEST(KernelPath, FollowsTheGuard) {
  const KernelPath before = kernel_path();
  {
    const KernelPathGuard guard(KernelPath::plain);
    EXPECT_EQ(kernel_path(), KernelPath::plain);
  }
  EXPECT_EQ(kernel_path(), before);
}

}  // namespace
}  // namespace galette
