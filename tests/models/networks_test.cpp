// SPDX-License-Identifier: Apache-2.0
// Networks as a whole: initial values that depend on the seed and a tensor's name alone, and CREPS
// pixels that depend on their own coordinates alone.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "models/creps.h"
#include "models/factory.h"

namespace galette {
namespace {

int64_t parameters(const Network& network) {
  return network.arena().flat_parameters().numel();
}

CrepsConfig small_creps() {
  CrepsConfig config;
  config.z_dim = config.w_dim = 16;
  config.img_resolution = 16;
  config.mapping_layers = 2;
  config.channel_base = 128;
  config.channel_max = 16;
  config.biline_channels = 8;
  return config;
}

TEST(Networks, AreRebuiltFromTheirArguments) {
  const CrepsGenerator g(small_creps(), at::kFloat);
  const auto again = make_generator(g.class_name(), g.init_args(), at::kFloat);
  ASSERT_EQ(parameters(*again), parameters(g));
  for (size_t i = 0; i < g.arena().parameters().size(); ++i) {
    EXPECT_EQ(again->arena().parameters()[i].name, g.arena().parameters()[i].name);
    EXPECT_EQ(again->arena().parameters()[i].shape, g.arena().parameters()[i].shape);
  }
}

TEST(Networks, StartFromSeedAndNameAlone) {
  CrepsGenerator g(small_creps(), at::kFloat), same(small_creps(), at::kFloat);
  CrepsConfig wider = small_creps();
  wider.channel_max = 8;  // other shapes around it; the mapping network stays as it was
  CrepsGenerator other(wider, at::kFloat);
  g.arena().initialize(SampleRng(7), 1);
  same.arena().initialize(SampleRng(7), 1);
  other.arena().initialize(SampleRng(7), 1);
  EXPECT_TRUE(at::equal(g.arena().flat_parameters(), same.arena().flat_parameters()));
  const char* name = "mapping.fc1.weight";
  EXPECT_TRUE(at::equal(g.arena().find(name), other.arena().find(name)));
  same.arena().initialize(SampleRng(8), 1);
  EXPECT_FALSE(at::equal(g.arena().find(name), same.arena().find(name)));

  // 512 draws: the standard deviation is within 1 +- 4/sqrt(2 * 512), its mean likewise.
  const at::Tensor weight = g.arena().find("synthesis.b4.input.affine.weight");
  EXPECT_NEAR(weight.std().item<double>(), 1, 0.04);
  EXPECT_NEAR(weight.mean().item<double>(), 0, 0.04);
  // Multiplied by 1/0.01 for layers that learn at a hundredth of the rate.
  EXPECT_NEAR(g.arena().find(name).std().item<double>(), 100, 20);
  EXPECT_EQ(g.arena().find("synthesis.b4.input.affine.bias").min().item<double>(), 1);
  EXPECT_EQ(g.arena().find("synthesis.b8.fc0.bias").abs().max().item<double>(), 0);
}

TEST(Creps, ATileEqualsThePixelsOfTheWhole) {
  const at::NoGradGuard no_grad;
  CrepsGenerator g(small_creps(), at::kDouble);
  g.arena().initialize(SampleRng(1), 1);
  const at::Tensor z = SampleRng(2).normal({Purpose::z}, {0, 1}, {16}, at::kDouble);
  const at::Tensor ws = g.broadcast(g.map(z, at::empty({2, 0}, at::kDouble)));
  const at::Tensor grid = CrepsGenerator::grid(24, at::kDouble);
  const at::Tensor whole = g.synthesize_at(ws, grid, grid);
  const at::Tensor tile = g.synthesize_at(ws, grid.narrow(0, 5, 7), grid.narrow(0, 11, 4));
  ASSERT_EQ(tile.sizes(), (at::IntArrayRef{2, 3, 7, 4}));
  // Products of other shapes may be summed in another order.
  EXPECT_TRUE(at::allclose(tile, whole.narrow(2, 5, 7).narrow(3, 11, 4), 1e-12, 1e-12));
  EXPECT_FALSE(at::allclose(tile, whole.narrow(2, 6, 7).narrow(3, 11, 4), 1e-3, 1e-3));
}

TEST(Arena, TellsParametersThatNoLossReached) {
  CrepsGenerator g(small_creps(), at::kFloat);
  g.arena().initialize(SampleRng(1), 1);
  g.arena().enable_gradients();
  const at::Tensor z = SampleRng(2).normal({Purpose::z}, {0}, {16}, at::kFloat);
  const at::Tensor image = g.synthesize(g.broadcast(g.map(z, at::empty({1, 0}))));
  torch::autograd::backward({image.sum()}, {});
  int absent = 0;
  for (size_t i = 0; i < g.arena().parameters().size(); ++i) {
    const std::string& name = g.arena().parameters()[i].name;
    const bool dead =
        name.find("b4.tores") != std::string::npos || name.find("decoder_8") != std::string::npos;
    EXPECT_EQ(g.arena().reached()[static_cast<int64_t>(i)].item<int>(), dead ? 0 : 1) << name;
    absent += dead ? 1 : 0;
  }
  EXPECT_EQ(absent, 12);
  EXPECT_GT(g.arena().flat_gradients().abs().sum().item<double>(), 0);
  g.arena().clear_gradients();
  EXPECT_EQ(g.arena().reached().sum().item<int64_t>(), 0);
  EXPECT_EQ(g.arena().flat_gradients().abs().sum().item<double>(), 0);
}

}  // namespace
}  // namespace galette
