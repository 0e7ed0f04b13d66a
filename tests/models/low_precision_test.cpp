// SPDX-License-Identifier: Apache-2.0
// Networks in 16 bits against the same networks in float32.
#include <gtest/gtest.h>

#include "models/creps.h"
#include "models/discriminator.h"
#include "models/stylegan2.h"
#include "tests/support/gradcheck.h"

namespace galette {
namespace {

using testing::normal;

// Rounding errors of a result, relative to its standard deviation. A value is rounded about five
// times per layer (style, weight, product, demodulation, activation), by up to 2^-9 of itself in
// bfloat16 and 2^-12 in float16; ten layers of independent errors add up to sqrt(50) times that.
double allowed_error(at::ScalarType type) {
  return type == at::kBFloat16 ? 0.03 : 0.004;
}

double relative_error(const at::Tensor& low, const at::Tensor& full) {
  return ((low - full).square().mean().sqrt() / full.std()).item<double>();
}

/// The cosine of the angle between two gradients. Besides rounding, activations near a kink take
/// its other side: an error of a tenth, say, leaves 1 - 0.1^2 / 2. A wrong derivative is far below
/// 0.95.
double alignment(const at::Tensor& a, const at::Tensor& b) {
  return ((a * b).sum() / (a.norm() * b.norm())).item<double>();
}

at::Tensor gradients(Network& network, const at::Tensor& loss) {
  network.arena().clear_gradients();
  torch::autograd::backward({loss}, {});
  return network.arena().flat_gradients().clone();
}

std::unique_ptr<Generator> make(const std::string& kind) {
  std::unique_ptr<Generator> g;
  if (kind == "creps") {
    CrepsConfig config;
    config.z_dim = config.w_dim = 16;
    config.img_resolution = 16;
    config.mapping_layers = 2;
    config.channel_base = 256;
    config.channel_max = 16;
    config.biline_channels = 8;
    config.num_fp16_res = 2;
    g = std::make_unique<CrepsGenerator>(config, at::kFloat);
  } else {
    StyleGan2Config config;
    config.z_dim = config.w_dim = 16;
    config.img_resolution = 16;
    config.mapping_layers = 2;
    config.channel_base = 256;
    config.channel_max = 16;
    config.architecture = kind == "skip" ? Architecture::skip : Architecture::resnet;
    g = std::make_unique<StyleGan2Generator>(config, at::kFloat);
  }
  g->arena().initialize(SampleRng(3), 1);
  g->arena().enable_gradients();
  return g;
}

class LowPrecision : public ::testing::TestWithParam<std::tuple<std::string, at::ScalarType>> {
 protected:
  LowPrecision() : g(make(std::get<0>(GetParam()))), type(std::get<1>(GetParam())) {
    ws = normal({2, g->num_ws(), g->w_dim()}, 7).to(at::kFloat);
  }
  std::unique_ptr<Generator> g;
  at::ScalarType type;
  at::Tensor ws;
};

TEST_P(LowPrecision, ImagesAndGradientsAreNearThoseOfFloat32) {
  const at::Tensor full = g->synthesize(ws);
  const at::Tensor projection = normal(full.sizes(), 8).to(at::kFloat);
  const at::Tensor full_gradient = gradients(*g, (full * projection).sum());
  g->set_low_precision(type);
  const at::Tensor low = g->synthesize(ws);
  ASSERT_EQ(low.scalar_type(), at::kFloat);
  EXPECT_LT(relative_error(low, full), allowed_error(type));
  EXPECT_GT(relative_error(low, full), 1e-5) << "is it computed in 16 bits at all?";
  const at::Tensor gradient = gradients(*g, (low * projection).sum());
  EXPECT_TRUE(at::isfinite(gradient).all().item<bool>());
  EXPECT_GT(alignment(gradient, full_gradient), 0.95);
}

// Path-length regularisation: the gradient of a gradient, with the noise that it is scaled by.
TEST_P(LowPrecision, SecondOrderIsFinite) {
  const auto penalty = [&] {
    const at::Tensor leaf = ws.clone().requires_grad_();
    const at::Tensor image = g->synthesize(leaf);
    const at::Tensor noise = normal(image.sizes(), 9).to(at::kFloat) / g->img_resolution();
    const at::Tensor slope =
        torch::autograd::grad({(image * noise).sum()}, {leaf}, {}, true, true)[0];
    return gradients(*g, slope.square().sum(2).mean());
  };
  const at::Tensor full = penalty();
  g->set_low_precision(type);
  const at::Tensor low = penalty();
  EXPECT_TRUE(at::isfinite(low).all().item<bool>());
  EXPECT_GT(alignment(low, full), 0.95);
}

INSTANTIATE_TEST_SUITE_P(All, LowPrecision,
                         ::testing::Combine(::testing::Values("creps", "skip", "resnet"),
                                            ::testing::Values(at::kBFloat16, at::kHalf)));

// Demodulation cancels the size of styles; in float16 they must be scaled before they multiply.
TEST(LowPrecisionRange, LargeStylesDoNotOverflow) {
  const at::NoGradGuard no_grad;
  for (const char* kind : {"creps", "skip"}) {
    const std::unique_ptr<Generator> g = make(kind);
    const at::Tensor ws = normal({2, g->num_ws(), g->w_dim()}, 7).to(at::kFloat);
    const at::Tensor full = g->synthesize(ws);
    for (const ArenaEntry& entry : g->arena().parameters()) {
      const bool style = entry.name.find(".affine.") != std::string::npos;
      const bool demodulated = entry.name.find(".conv") != std::string::npos ||
                               entry.name.find(".fc0.") != std::string::npos ||
                               entry.name.find(".fc1.") != std::string::npos;
      if (style && demodulated) entry.tensor.detach().mul_(1e5);
    }
    g->set_low_precision(at::kHalf);
    EXPECT_LT(relative_error(g->synthesize(ws), full), allowed_error(at::kHalf)) << kind;
  }
}

class LowPrecisionDiscriminator : public ::testing::TestWithParam<at::ScalarType> {};

TEST_P(LowPrecisionDiscriminator, LogitsAndR1AreNearThoseOfFloat32) {
  DiscriminatorConfig config;
  config.img_resolution = 16;
  config.channel_base = 512;
  config.channel_max = 32;
  for (const Architecture a : {Architecture::skip, Architecture::resnet}) {
    config.architecture = a;
    StyleGan2Discriminator d(config, at::kFloat);
    d.arena().initialize(SampleRng(3), 2);
    d.arena().enable_gradients();
    const at::Tensor image = normal({4, 3, 16, 16}, 1).to(at::kFloat).requires_grad_();
    const auto results = [&] {
      const at::Tensor logits = d.logits(image, {});
      const at::Tensor slope = torch::autograd::grad({logits.sum()}, {image}, {}, true, true)[0];
      const at::Tensor r1 = gradients(d, slope.square().sum());
      return testing::Tensors{logits.detach(), slope.detach(), r1};
    };
    const testing::Tensors full = results();
    d.set_low_precision(GetParam());
    const testing::Tensors low = results();
    ASSERT_EQ(low[0].scalar_type(), at::kFloat);
    EXPECT_LT(((low[0] - full[0]).norm() / full[0].norm()).item<double>(), 0.1);
    EXPECT_GT(alignment(low[1], full[1]), 0.95);
    EXPECT_TRUE(at::isfinite(low[2]).all().item<bool>());
    EXPECT_GT(alignment(low[2], full[2]), 0.95);
  }
}

INSTANTIATE_TEST_SUITE_P(All, LowPrecisionDiscriminator,
                         ::testing::Values(at::kBFloat16, at::kHalf));

}  // namespace
}  // namespace galette
