// SPDX-License-Identifier: Apache-2.0
// Parts of the StyleGAN2 networks: the modulated convolution against its definition, noise, frozen
// layers, and arguments.
#include "models/stylegan2.h"

#include <set>

#include <gtest/gtest.h>

#include "io/check.h"
#include "kernels/conv2d_resample.h"
#include "kernels/fir_filter.h"
#include "models/discriminator.h"
#include "models/factory.h"
#include "tests/support/gradcheck.h"

namespace galette {
namespace {

using testing::normal;
using testing::Tensors;

StyleGan2Config small_config() {
  StyleGan2Config config;
  config.z_dim = config.w_dim = 8;
  config.img_resolution = 16;
  config.mapping_layers = 2;
  config.channel_base = 64;
  config.channel_max = 8;
  return config;
}

at::Tensor latents(const Generator& g, int64_t batch) {
  const auto type = g.arena().options().dtype().toScalarType();
  return normal({batch, g.num_ws(), g.w_dim()}, 5).to(type);
}

SynthesisOptions with_noise(NoiseMode mode) {
  SynthesisOptions options;
  options.noise_mode = mode;
  return options;
}

/// A layer and the arena that it lives in, with all parameters drawn.
struct Modulated {
  explicit Modulated(int64_t up, bool demodulate)
      : arena(at::kDouble),
        filter(setup_filter({1, 3, 3, 1})),
        layer(Scope("layer", arena), 3, 4, 5,
              {.up = up, .demodulate = demodulate, .act = {}, .filter = filter}) {
    arena.allocate();
    arena.flat_parameters().copy_(normal(arena.flat_parameters().sizes(), 11));
  }
  at::Tensor parameter(const char* name) const { return arena.find(std::string("layer.") + name); }

  ParameterArena arena;
  at::Tensor filter;
  ModulatedConv2d layer;
};

/// With weights per sample, as the paper writes it.
at::Tensor by_definition(const Modulated& m, const at::Tensor& x, const at::Tensor& w,
                         const at::Tensor& noise, int64_t up, bool demodulate) {
  at::Tensor style =
      at::addmm(m.parameter("affine.bias"), w, (m.parameter("affine.weight") / std::sqrt(5.0)).t());
  if (!demodulate) style = style / std::sqrt(27.0);
  at::Tensor weight = m.parameter("weight").unsqueeze(0) * style.view({-1, 1, 3, 1, 1});
  if (demodulate) weight = weight / (weight.square().sum({2, 3, 4}, true) + 1e-8).sqrt();
  Conv2dResampleOptions options;
  options.up = up;
  options.padding = {1, 1, 1, 1};
  options.flip_weight = up == 1;
  Tensors images;
  for (int64_t n = 0; n < x.size(0); ++n) {
    images.push_back(
        conv2d_resample(x.narrow(0, n, 1), weight[n], up > 1 ? m.filter : at::Tensor(), options));
  }
  const at::Tensor y = at::cat(images) + m.parameter("bias").view({1, -1, 1, 1});
  return noise.defined() ? y + noise : y;
}

TEST(ModulatedConv2d, EqualsConvolutionsWithWeightsPerSample) {
  const at::Tensor x = normal({2, 3, 4, 4}, 1), w = normal({2, 5}, 2);
  for (const int64_t up : {1, 2}) {
    const at::Tensor noise = normal({2, 1, 4 * up, 4 * up}, 3);
    for (const bool demodulate : {true, false}) {
      const Modulated m(up, demodulate);
      const at::Tensor added = demodulate ? noise : at::Tensor();
      const at::Tensor expected = by_definition(m, x, w, added, up, demodulate);
      EXPECT_TRUE(at::allclose(m.layer(x, w, added), expected, 1e-12, 1e-12));
    }
  }
}

// Path-length regularisation differentiates the gradient by w.
TEST(ModulatedConv2d, FirstAndSecondDerivativesEqualDifferences) {
  for (const int64_t up : {1, 2}) {
    const Modulated m(up, true);
    const at::Tensor noise = normal({2 * up, 2 * up}, 3);
    const testing::Operator f = [&](const Tensors& in) {
      return m.layer(in[0], in[1], noise).square();
    };
    const Tensors inputs{normal({2, 3, 2, 2}, 1), normal({2, 5}, 2)};
    testing::expect_gradients(f, inputs, 1e-6);
    testing::expect_second_gradients(f, inputs, 1e-4);
  }
}

TEST(StyleGan2, AsksForNoiseLayerByLayer) {
  const at::NoGradGuard no_grad;
  StyleGan2Generator g(small_config(), at::kDouble);
  g.arena().initialize(SampleRng(1), 1);
  std::vector<std::pair<int64_t, int64_t>> asked;
  SynthesisOptions random = with_noise(NoiseMode::random);
  random.random_noise = [&](int64_t layer, int64_t size) {
    asked.emplace_back(layer, size);
    return normal({2, 1, size, size}, 40 + static_cast<uint64_t>(layer));
  };
  const at::Tensor ws = latents(g, 2);
  const at::Tensor none = g.synthesize(ws, with_noise(NoiseMode::none));
  // Strengths start at zero, so noise adds nothing.
  EXPECT_TRUE(at::equal(g.synthesize(ws, random), none));
  EXPECT_EQ(asked,
            (std::vector<std::pair<int64_t, int64_t>>{{0, 4}, {1, 8}, {2, 8}, {3, 16}, {4, 16}}));
  g.arena().find("synthesis.b8.conv1.noise_strength").fill_(0.5);
  const at::Tensor constant = g.synthesize(ws, with_noise(NoiseMode::constant));
  EXPECT_FALSE(at::allclose(constant, none));
  EXPECT_FALSE(at::allclose(g.synthesize(ws, random), constant));
  EXPECT_TRUE(at::equal(g.synthesize(ws, with_noise(NoiseMode::none)), none));
  EXPECT_THROW(g.synthesize(ws, with_noise(NoiseMode::random)), c10::Error);
}

TEST(StyleGan2, NetworksAreRebuiltFromTheirArguments) {
  for (const Architecture a : {Architecture::orig, Architecture::skip, Architecture::resnet}) {
    StyleGan2Config config = small_config();
    config.architecture = a;
    config.c_dim = 3;
    config.conv_clamp = std::nullopt;
    config.num_fp16_res = 2;
    const StyleGan2Generator g(config, at::kFloat);
    const auto again = make_generator(g.class_name(), g.init_args(), at::kFloat);
    EXPECT_EQ(again->init_args(), g.init_args());
    EXPECT_EQ(again->arena().flat_parameters().numel(), g.arena().flat_parameters().numel());

    DiscriminatorConfig d_config;
    d_config.img_resolution = 16;
    d_config.channel_max = 8;
    d_config.architecture = a;
    d_config.c_dim = 3;
    d_config.cmap_dim = 5;
    const StyleGan2Discriminator d(d_config, at::kFloat);
    const auto d_again = make_discriminator(d.class_name(), d.init_args(), at::kFloat);
    EXPECT_EQ(d_again->init_args(), d.init_args());
    EXPECT_EQ(d_again->arena().find("b4.out.weight").sizes(), at::IntArrayRef({5, 8}));
    EXPECT_EQ(d_again->arena().find("mapping.embed.weight").sizes(), at::IntArrayRef({5, 3}));
  }
}

TEST(StyleGan2, AnArchitectureMustBeOneOfThree) {
  try {
    StyleGan2Config::from_json({{"architecture", "dense"}});
    FAIL() << "accepted";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("'dense'"), std::string::npos) << error.what();
  }
}

TEST(StyleGan2, CountsLowResolutionsFromTheLargest) {
  EXPECT_EQ(first_low_resolution(128, 4), 16);
  EXPECT_EQ(first_low_resolution(1024, 4), 128);
  EXPECT_EQ(first_low_resolution(1024, 1), 1024);
  EXPECT_EQ(first_low_resolution(32, 4), 8);
  EXPECT_EQ(first_low_resolution(64, 99), 8);
  EXPECT_EQ(first_low_resolution(128, 0), 256);
}

/// The layers whose weights are buffers when the first `count` ones are frozen.
std::set<std::string> frozen(Architecture architecture, int64_t count) {
  DiscriminatorConfig config;
  config.img_resolution = 16;
  config.channel_max = 4;
  config.architecture = architecture;
  config.freeze_layers = count;
  const StyleGan2Discriminator d(config, at::TensorOptions(at::kMeta).dtype(at::kFloat));
  std::set<std::string> layers;
  for (const ArenaEntry& entry : d.arena().buffers()) {
    const size_t stem = entry.name.rfind(".weight");
    if (stem != std::string::npos) layers.insert(entry.name.substr(0, stem));
  }
  return layers;
}

TEST(Discriminator, FreezesLayersInTheirOrder) {
  using Names = std::set<std::string>;
  const Names first{"b16.fromrgb", "b16.conv0", "b16.conv1"};
  const auto with = [](Names names, const std::vector<std::string>& more) {
    names.insert(more.begin(), more.end());
    return names;
  };
  for (const Architecture a : {Architecture::orig, Architecture::skip, Architecture::resnet}) {
    EXPECT_EQ(frozen(a, 0), Names{});
    EXPECT_EQ(frozen(a, 2), (Names{"b16.fromrgb", "b16.conv0"}));
    EXPECT_EQ(frozen(a, 3), first);
  }
  EXPECT_EQ(frozen(Architecture::orig, 4), with(first, {"b8.conv0"}));
  EXPECT_EQ(frozen(Architecture::skip, 4), with(first, {"b8.fromrgb"}));
  EXPECT_EQ(frozen(Architecture::resnet, 4), with(first, {"b16.skip"}));
  EXPECT_EQ(frozen(Architecture::resnet, 5), with(first, {"b16.skip", "b8.conv0"}));
  // The epilogue is never frozen.
  EXPECT_EQ(frozen(Architecture::skip, 99), with(first, {"b8.fromrgb", "b8.conv0", "b8.conv1"}));
}

}  // namespace
}  // namespace galette
