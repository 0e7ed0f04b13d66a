// SPDX-License-Identifier: Apache-2.0
// bias_act against the naive formula in ATen, against central differences, and on wrong input.
#include "kernels/bias_act.h"

#include <array>
#include <cmath>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "tests/support/gradcheck.h"
#include "tests/support/refusal.h"

namespace galette {
namespace {

using testing::expect_refused;
using testing::normal;
using testing::Tensors;

constexpr std::array<const char*, 9> kNames = {"linear", "relu", "lrelu",    "tanh", "sigmoid",
                                               "elu",    "selu", "softplus", "swish"};

at::Tensor naive_activation(const std::string& name, const at::Tensor& z, double alpha) {
  if (name == "relu") return z.clamp_min(0);
  if (name == "lrelu") return at::where(z > 0, z, z * alpha);
  if (name == "tanh") return z.tanh();
  if (name == "sigmoid") return z.sigmoid();
  if (name == "elu") return at::elu(z);
  if (name == "selu") return at::selu(z);
  if (name == "softplus") return z.exp().log1p();
  if (name == "swish") return z * z.sigmoid();
  return z;
}

at::Tensor naive(const at::Tensor& x, const at::Tensor& bias, const std::string& name,
                 const BiasActOptions& options) {
  at::Tensor z = x;
  if (bias.defined()) {
    std::vector<int64_t> shape(x.dim(), 1);
    shape[options.dim < 0 ? options.dim + x.dim() : options.dim] = -1;
    z = x + bias.view(shape);
  }
  const double gain = options.gain.value_or(default_gain(activation_from_name(name)));
  const at::Tensor v = naive_activation(name, z, options.alpha.value_or(0.2)) * gain;
  return options.clamp ? v.clamp(-*options.clamp, *options.clamp) : v;
}

class BiasAct : public ::testing::TestWithParam<const char*> {
 protected:
  Activation act() const { return activation_from_name(GetParam()); }
};

// Shapes that reach every branch: one run without channels, rows longer than a tile, short rows,
// channels last, channels in the middle, and a vector whose only axis is the channel.
struct Layout {
  std::vector<int64_t> shape;
  int64_t dim;
};
const Layout kLayouts[] = {{{2, 3, 5, 7}, 1}, {{2, 3, 90, 90}, 1}, {{700, 33}, 1},
                           {{4, 6, 3}, -1},   {{2, 5, 1}, 1},      {{9}, 0},
                           {{3, 4, 5}, 0},    {{2, 1, 8}, 1}};

TEST_P(BiasAct, EqualsTheFormula) {
  for (const Layout& layout : kLayouts) {
    for (const bool with_bias : {true, false}) {
      const at::Tensor x = normal(layout.shape, 1);
      const at::Tensor bias = with_bias ? normal({x.size(layout.dim)}, 2) : at::Tensor();
      const BiasActOptions options{.dim = layout.dim, .alpha = 0.3, .gain = 1.7, .clamp = 1.1};
      const at::Tensor expected = naive(x, bias, GetParam(), options);
      // Elementary functions err by a few units in the last place.
      EXPECT_TRUE(at::allclose(bias_act(x, bias, act(), options), expected, 1e-13, 1e-13));
      const at::Tensor single =
          bias_act(x.to(at::kFloat), with_bias ? bias.to(at::kFloat) : bias, act(), options);
      EXPECT_EQ(single.scalar_type(), at::kFloat);
      EXPECT_TRUE(at::allclose(single.to(at::kDouble), expected, 1e-5, 1e-6));
    }
  }
}

TEST_P(BiasAct, GradientsEqualThoseOfTheFormula) {
  for (const Layout& layout : kLayouts) {
    const BiasActOptions options{.dim = layout.dim, .clamp = 1.1};
    const auto gradients = [&](bool fused) {
      const at::Tensor x = normal(layout.shape, 1).requires_grad_();
      const at::Tensor bias = normal({x.size(layout.dim)}, 2).requires_grad_();
      const at::Tensor y =
          fused ? bias_act(x, bias, act(), options) : naive(x, bias, GetParam(), options);
      return torch::autograd::grad({y}, {x, bias}, {normal(x.sizes(), 3)});
    };
    const Tensors fused = gradients(true), expected = gradients(false);
    EXPECT_TRUE(at::allclose(fused[0], expected[0], 1e-12, 1e-12));
    // Up to 16200 summands of order one.
    EXPECT_TRUE(at::allclose(fused[1], expected[1], 1e-11, 1e-11));
  }
}

TEST_P(BiasAct, FirstAndSecondDerivativesEqualDifferences) {
  const testing::Operator f = [&](const Tensors& in) {
    return bias_act(in[0], in[1], act(), {.gain = 1.3, .clamp = 1.2});
  };
  const Tensors inputs{normal({2, 3, 4}, 4), normal({3}, 5)};
  testing::expect_gradients(f, inputs);
  testing::expect_second_gradients(f, inputs);
}

TEST_P(BiasAct, DerivativesWithoutBiasOrClamp) {
  const testing::Operator f = [&](const Tensors& in) {
    return bias_act(in[0], std::nullopt, act(), {.gain = 0.7});
  };
  testing::expect_gradients(f, {normal({3, 4}, 6)});
  testing::expect_second_gradients(f, {normal({3, 4}, 6)});
}

TEST_P(BiasAct, TakesAnyStridesAndEmptyTensors) {
  const at::Tensor bias = normal({3}, 7);
  const at::Tensor x = normal({4, 6, 3, 2}, 8).permute({3, 2, 1, 0});
  const BiasActOptions options{.clamp = 1};
  const at::Tensor expected = naive(x, bias, GetParam(), options);
  EXPECT_TRUE(at::allclose(bias_act(x, bias, act(), options), expected));
  const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor y = bias_act(last, bias, act(), options);
  EXPECT_TRUE(at::allclose(y, expected));
  EXPECT_TRUE(y.is_contiguous(at::MemoryFormat::ChannelsLast));

  const at::Tensor empty = at::empty({0, 3, 2}, bias.options()).requires_grad_();
  const at::Tensor b = bias.clone().requires_grad_();
  const at::Tensor none = bias_act(empty, b, act(), options);
  EXPECT_EQ(none.sizes(), empty.sizes());
  const Tensors grads = torch::autograd::grad({none}, {empty, b}, {at::ones_like(none)});
  EXPECT_EQ(grads[0].numel(), 0);
  EXPECT_EQ(grads[1].abs().sum().item<double>(), 0);
}

/// y and dx, and what a function of dx and db sends back to x and dy; then db, and what it sends
/// back to the bias. The cotangent lies in the ordinary order.
Tensors with_derivatives(const at::Tensor& x, const at::Tensor& bias, Activation act,
                         const BiasActOptions& options) {
  const at::Tensor leaf = x.detach().requires_grad_(), b = bias.detach().requires_grad_();
  const at::Tensor dy = normal(x.sizes(), 11).requires_grad_();
  const at::Tensor y = bias_act(leaf, b, act, options);
  const Tensors first = torch::autograd::grad({y}, {leaf, b}, {dy}, true, true);
  const at::Tensor loss = first[0].square().sum() + first[1].square().sum();
  const Tensors second = torch::autograd::grad({loss}, {leaf, dy, b}, {}, false, false, true);
  return {y.detach(), first[0].detach(), second[0], second[1], first[1].detach(), second[2]};
}

TEST_P(BiasAct, ChannelsLastImagesAreWorkedOnAsTheyLie) {
  const BiasActOptions options{.alpha = 0.3, .gain = 1.7, .clamp = 1.1};
  for (const auto& shape : {std::vector<int64_t>{2, 5, 6, 7}, {3, 33, 9, 1}, {2, 1, 4, 5}}) {
    const at::Tensor x = normal(shape, 9), bias = normal({shape[1]}, 10);
    const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast);
    const Tensors rows = with_derivatives(x, bias, act(), options);
    const Tensors pixels = with_derivatives(last, bias, act(), options);
    for (size_t k = 0; k < rows.size(); ++k) {
      ASSERT_EQ(pixels[k].defined(), rows[k].defined()) << k;
      if (!rows[k].defined()) continue;  // steps have no second derivative by x
      EXPECT_TRUE(at::allclose(pixels[k], rows[k], 1e-12, 1e-12)) << k;
      if (rows[k].dim() == 1) continue;  // of the bias
      EXPECT_TRUE(pixels[k].is_contiguous(at::MemoryFormat::ChannelsLast)) << k;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, BiasAct, ::testing::ValuesIn(kNames),
                         [](const auto& info) { return std::string(info.param); });

TEST(BiasActValues, IdentityReturnsItsInput) {
  const at::Tensor x = normal({2, 3}, 1);
  EXPECT_TRUE(bias_act(x, std::nullopt, Activation::kLinear).is_same(x));
}

TEST(BiasActValues, SlopeAtTheKinkAndAtTheClamp) {
  const at::Tensor x = at::tensor({-2.0, 0.0, 0.5, 2.0}).to(at::kDouble).requires_grad_();
  const auto slope = [&](Activation act, double clamp) {
    const at::Tensor y = bias_act(x, std::nullopt, act, {.gain = 1, .clamp = clamp});
    return torch::autograd::grad({y.sum()}, {x})[0];
  };
  const auto row = [](std::initializer_list<double> v) {
    return at::tensor(at::ArrayRef<double>(v), at::kDouble);
  };
  EXPECT_TRUE(at::equal(slope(Activation::kLrelu, 2), row({0.2, 0.2, 1, 0})));
  EXPECT_TRUE(at::equal(slope(Activation::kRelu, 3), row({0, 0, 1, 1})));
  EXPECT_TRUE(at::equal(slope(Activation::kLinear, 1), row({0, 1, 1, 0})));
  EXPECT_TRUE(at::equal(slope(Activation::kElu, 3).slice(0, 1), row({1, 1, 1})));
}

TEST(BiasActValues, NotANumberPassesThrough) {
  const at::Tensor x = at::full({20}, NAN);
  for (const char* name : kNames) {
    const at::Tensor y = bias_act(x, std::nullopt, activation_from_name(name), {.clamp = 1});
    EXPECT_TRUE(y.isnan().all().item<bool>()) << name;
  }
}

TEST(BiasActValues, Float32BiasGradientIsAccumulatedInBlocks) {
  // A plain float32 sum of 2^22 ones and small parts is off by 1e-2; blocks stay near rounding.
  const at::Tensor x = at::ones({1, 1, 2048, 2048}), bias = at::zeros({1}).requires_grad_();
  const at::Tensor dy = at::full_like(x, 1.1f);
  const at::Tensor y = bias_act(x, bias, Activation::kLrelu, {.gain = 1});
  const double db = torch::autograd::grad({y}, {bias}, {dy})[0].item<double>();
  EXPECT_NEAR(db / (double{1.1f} * x.numel()), 1, 1e-6);
}

TEST(BiasActValues, ResultsDoNotDependOnTheThreads) {
  const int threads = at::get_num_threads();
  const at::Tensor x = normal({8, 16, 64, 64}, 1).to(at::kFloat);
  const auto run = [&](int count) {
    at::set_num_threads(count);
    const at::Tensor leaf = x.clone().requires_grad_(), bias = at::ones({16}).requires_grad_();
    const at::Tensor y = bias_act(leaf, bias, Activation::kLrelu, {.clamp = 2});
    return torch::autograd::grad({y}, {leaf, bias}, {x});
  };
  const Tensors one = run(1), three = run(3);
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one[0], three[0]));
  EXPECT_TRUE(at::equal(one[1], three[1]));
}

// 16-bit tensors are converted, computed in float32 and rounded once, and so are their gradients.
TEST(BiasActValues, SixteenBitsRoundTheFloat32Result) {
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    const at::Tensor x = normal({4, 3, 5}, 1).to(type).requires_grad_();
    const at::Tensor bias = normal({3}, 2).to(type).requires_grad_();
    const at::Tensor wide_x = x.detach().to(at::kFloat).requires_grad_();
    const at::Tensor wide_bias = bias.detach().to(at::kFloat).requires_grad_();
    const at::Tensor y = bias_act(x, bias, Activation::kSwish, {.clamp = 1});
    const at::Tensor wide = bias_act(wide_x, wide_bias, Activation::kSwish, {.clamp = 1});
    ASSERT_EQ(y.scalar_type(), type);
    EXPECT_TRUE(at::equal(y, wide.to(type)));
    const auto penalty = [](const at::Tensor& result, const Tensors& leaves) {
      const at::Tensor dx = torch::autograd::grad({result.sum()}, {leaves[0]}, {}, true, true)[0];
      return torch::autograd::grad({dx.square().sum()}, leaves);
    };
    const Tensors second = penalty(y, {x, bias}), expected = penalty(wide, {wide_x, wide_bias});
    // dx itself is rounded before it is squared: by 2^-9 in bfloat16, of values up to about 1.
    for (size_t k = 0; k < second.size(); ++k)
      EXPECT_TRUE(at::allclose(second[k].to(at::kFloat), expected[k], 0.02, 0.05));
  }
}

TEST(BiasActErrors, ThirdDerivativeIsRefused) {
  const at::Tensor x = normal({5}, 1).requires_grad_();
  at::Tensor g = bias_act(x, std::nullopt, Activation::kTanh).sum();
  for (int order = 0; order < 2; ++order)
    g = torch::autograd::grad({g}, {x}, {}, true, true)[0].sum();
  EXPECT_THROW(torch::autograd::grad({g}, {x}), c10::Error);
}

TEST(BiasActErrors, NameWhatIsWrong) {
  const at::Tensor x = at::ones({2, 3, 4});
  const auto call = [](const at::Tensor& input, const std::optional<at::Tensor>& bias,
                       const BiasActOptions& options = {}) {
    return [=] { bias_act(input, bias, Activation::kLrelu, options); };
  };
  expect_refused(call(x, at::ones({4})), "bias_act: bias has shape [4]");
  expect_refused(call(x, at::ones({3, 1})), "bias_act: bias has shape [3, 1]");
  expect_refused(call(x, at::ones({3}, at::kDouble)), "bias_act: bias is Double");
  expect_refused(call(x, at::ones({3}), {.dim = 3}), "bias_act: dim is 3");
  expect_refused(call(x.to(at::kHalf), at::ones({3})), "bias_act: bias is Float");
  expect_refused(call(x.to(at::kInt), std::nullopt), "bias_act: x is of type Int");
  expect_refused(call(at::ones({}), std::nullopt), "bias_act: x is a scalar");
  expect_refused(call(at::Tensor(), std::nullopt), "bias_act: x is not defined");
  expect_refused(call(x, std::nullopt, {.gain = 0}), "bias_act: gain is 0");
  expect_refused(call(x, std::nullopt, {.alpha = -1}), "bias_act: alpha is -1");
  expect_refused(call(x, std::nullopt, {.clamp = -1}), "bias_act: clamp is -1");
  expect_refused(call(x, std::nullopt, {.clamp = NAN}), "bias_act: clamp is nan");
  expect_refused([] { activation_from_name("gelu"); }, "'gelu'");
}

TEST(BiasActCuda, EqualsTheCpu) {
  if (!at::hasCUDA())
    GTEST_SKIP() << "NO GPU: the CUDA body of bias_act is not tested on this machine";
  const at::Tensor x = normal({2, 3, 5, 7}, 1), bias = normal({3}, 2);
  for (const char* name : kNames) {
    const auto results = [&](at::Device device) {
      const at::Tensor leaf = x.to(device).requires_grad_(), b = bias.to(device).requires_grad_();
      const at::Tensor y = bias_act(leaf, b, activation_from_name(name), {.clamp = 1});
      Tensors all = torch::autograd::grad({y}, {leaf, b}, {leaf.detach()}, true, true);
      const Tensors second = torch::autograd::grad({(all[0] * all[0]).sum() + all[1].sum()},
                                                   {leaf, b}, {}, true, false, true);
      all.insert(all.end(), second.begin(), second.end());
      all.push_back(y);
      return all;
    };
    const Tensors cpu = results(at::kCPU), gpu = results(at::kCUDA);
    for (size_t i = 0; i < cpu.size(); ++i) {
      ASSERT_EQ(cpu[i].defined(), gpu[i].defined()) << name;
      if (!cpu[i].defined()) continue;
      EXPECT_TRUE(at::allclose(cpu[i], gpu[i].cpu(), 1e-10, 1e-10)) << name;
    }
  }
}

}  // namespace
}  // namespace galette
