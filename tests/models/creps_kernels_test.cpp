// SPDX-License-Identifier: Apache-2.0
// A CREPS generator computes the same with fused kernels and with compositions of LibTorch's
// operators: images, gradients of its parameters, and those of path-length regularisation, which
// differentiates the gradient of the latents.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "kernels/dispatch.h"
#include "models/creps.h"
#include "tests/support/gradcheck.h"

namespace galette {
namespace {

using testing::normal;
using testing::Tensors;

CrepsConfig small_creps() {
  CrepsConfig config;
  config.z_dim = config.w_dim = 16;
  config.img_resolution = 16;
  config.mapping_layers = 1;
  config.channel_base = 128;
  config.channel_max = 16;
  config.biline_channels = 8;
  return config;
}

/// The image, gradients of all parameters for a random cotangent, and those of the penalty.
Tensors results(const CrepsGenerator& g, KernelPath path) {
  const KernelPathGuard guard(path);
  const at::Tensor ws = normal({2, g.num_ws(), 16}, 1).requires_grad_();
  const at::Tensor image = g.synthesize(ws);
  const at::Tensor cotangent = normal(image.sizes(), 2);
  Tensors parameters, all{image.detach()};
  for (const auto& parameter : g.arena().parameters())
    parameters.push_back(g.arena().find(parameter.name));
  const auto add_gradients = [&](const at::Tensor& loss) {
    const Tensors gradients = torch::autograd::grad({loss}, parameters, {}, true, false, true);
    for (size_t i = 0; i < gradients.size(); ++i)
      all.push_back(gradients[i].defined() ? gradients[i] : at::full_like(parameters[i], -1));
  };
  add_gradients((image * cotangent).sum());
  const at::Tensor slope =
      torch::autograd::grad({(image * cotangent).sum()}, {ws}, {}, true, true)[0];
  add_gradients(slope.square().sum());
  return all;
}

TEST(CrepsKernels, FusedAndPlainAgreeInTwoDerivatives) {
  const testing::OneThread one_thread;
  CrepsGenerator g(small_creps(), at::kDouble);
  g.arena().initialize(SampleRng(3), 0);
  g.arena().set_requires_grad(true);
  const Tensors fused = results(g, KernelPath::fused), plain = results(g, KernelPath::plain);
  ASSERT_EQ(fused.size(), plain.size());
  for (size_t i = 0; i < fused.size(); ++i) {
    // Also the parameters that a loss does not reach are the same, marked by -1.
    const double scale = std::max(1.0, plain[i].abs().max().item<double>());
    EXPECT_LE((fused[i] - plain[i]).abs().max().item<double>(), 1e-11 * scale) << i;
  }
}

}  // namespace
}  // namespace galette
