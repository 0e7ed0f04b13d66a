// SPDX-License-Identifier: Apache-2.0
// Numbers of elements of the published networks at default width. They are built without memory.
#include <gtest/gtest.h>

#include "models/creps.h"
#include "models/discriminator.h"
#include "models/stylegan2.h"

namespace galette {
namespace {

constexpr int64_t kResolutions[] = {128, 256, 512, 1024};

struct Sizes {
  int64_t parameters, buffers;
  bool operator==(const Sizes&) const = default;
};

// NOLINTNEXTLINE(readability-identifier-naming): the name that GoogleTest looks for
void PrintTo(const Sizes& sizes, std::ostream* out) {
  *out << sizes.parameters << " parameters, " << sizes.buffers << " elements of buffers";
}

Sizes sizes(const Network& network) {
  return {network.arena().flat_parameters().numel(), network.arena().flat_buffers().numel()};
}

at::TensorOptions no_memory() {
  return at::TensorOptions(at::kMeta).dtype(at::kFloat);
}

TEST(PublishedSizes, Creps) {
  const Sizes expected[] = {
      {29'779'401, 4'864}, {30'530'825, 5'120}, {30'867'785, 5'632}, {31'034'377, 6'656}};
  for (size_t i = 0; i < 4; ++i) {
    CrepsConfig config;
    config.img_resolution = kResolutions[i];
    config.channel_base = 65536;
    config.channel_max = 1024;
    const CrepsGenerator g(config, no_memory());
    EXPECT_EQ(sizes(g), expected[i]);
    EXPECT_EQ(g.num_ws(), 13 + 2 * static_cast<int64_t>(i));
  }
}

int64_t stylegan2_parameters(int64_t resolution, Architecture architecture) {
  StyleGan2Config config;
  config.img_resolution = resolution;
  config.architecture = architecture;
  const StyleGan2Generator g(config, no_memory());
  EXPECT_EQ(g.num_ws(), 2 * std::lround(std::log2(resolution)) - 2);
  return sizes(g).parameters;
}

TEST(PublishedSizes, StyleGan2) {
  const int64_t skip[] = {29'328'669, 30'034'338, 30'276'583, 30'370'060};
  const int64_t orig[] = {28'007'694, 28'581'264, 28'757'458, 28'817'908};
  const int64_t resnet[] = {29'187'342, 29'793'680, 29'978'066, 30'040'564};
  const int64_t buffers[] = {44'448, 175'568, 699'904, 2'797'104};
  for (size_t i = 0; i < 4; ++i) {
    const int64_t r = kResolutions[i];
    EXPECT_EQ(stylegan2_parameters(r, Architecture::skip), skip[i]);
    EXPECT_EQ(stylegan2_parameters(r, Architecture::orig), orig[i]);
    EXPECT_EQ(stylegan2_parameters(r, Architecture::resnet), resnet[i]);
    StyleGan2Config config;
    config.img_resolution = r;
    EXPECT_EQ(sizes(StyleGan2Generator(config, no_memory())).buffers, buffers[i]);
  }
}

int64_t discriminator_parameters(int64_t resolution, Architecture architecture, int64_t c_dim) {
  DiscriminatorConfig config;
  config.img_resolution = resolution;
  config.architecture = architecture;
  config.c_dim = c_dim;
  return sizes(StyleGan2Discriminator(config, no_memory())).parameters;
}

TEST(PublishedSizes, Discriminator) {
  const int64_t resnet[] = {28'389'121, 28'864'129, 28'982'849, 29'012'513};
  const int64_t orig[] = {27'209'473, 27'651'713, 27'762'241, 27'789'857};
  const int64_t skip[] = {27'219'713, 27'662'977, 27'774'017, 27'801'889};
  const int64_t labelled[] = {30'758'144, 31'233'152, 31'351'872, 31'381'536};
  for (size_t i = 0; i < 4; ++i) {
    const int64_t r = kResolutions[i];
    EXPECT_EQ(discriminator_parameters(r, Architecture::resnet, 0), resnet[i]);
    EXPECT_EQ(discriminator_parameters(r, Architecture::orig, 0), orig[i]);
    EXPECT_EQ(discriminator_parameters(r, Architecture::skip, 0), skip[i]);
    EXPECT_EQ(discriminator_parameters(r, Architecture::resnet, 10), labelled[i]);
  }
}

}  // namespace
}  // namespace galette
