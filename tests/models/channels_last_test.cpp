// SPDX-License-Identifier: Apache-2.0
// Networks whose 16-bit layers lie channels last against the same networks in the ordinary order.
#include <algorithm>

#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include "models/discriminator.h"
#include "models/stylegan2.h"
#include "tests/support/gradcheck.h"

namespace galette {
namespace {

using testing::normal;
using testing::Tensors;

/// What convolutions, and their gradients, were given while it lives.
class SeenImages {
 public:
  SeenImages() {
    handle_ = at::addGlobalCallback(
        at::RecordFunctionCallback(&look).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  }
  SeenImages(const SeenImages&) = delete;
  SeenImages& operator=(const SeenImages&) = delete;
  ~SeenImages() {
    at::removeCallback(handle_);
    images().clear();
  }

  /// How many were of a type and lay in an order.
  static int64_t count(at::ScalarType type, at::MemoryFormat format) {
    return std::count_if(images().begin(), images().end(), [&](const at::Tensor& x) {
      return x.scalar_type() == type && x.suggest_memory_format() == format;
    });
  }

 private:
  static Tensors& images() {
    static Tensors all;
    return all;
  }
  static std::unique_ptr<at::ObserverContext> look(const at::RecordFunction& call) {
    const std::string_view name = call.name();
    if (name == "aten::convolution") images().push_back(call.inputs()[0].toTensor());
    if (name == "aten::convolution_backward") images().push_back(call.inputs()[1].toTensor());
    return nullptr;
  }
  at::CallbackHandle handle_;
};

constexpr at::MemoryFormat kRows = at::MemoryFormat::Contiguous;
constexpr at::MemoryFormat kPixels = at::MemoryFormat::ChannelsLast;

at::Tensor gradients(Network& network, const at::Tensor& loss) {
  network.arena().clear_gradients();
  torch::autograd::backward({loss}, {});
  return network.arena().flat_gradients().clone();
}

void draw(Network& network) {
  network.arena().initialize(SampleRng(3), 1);
  for (const ArenaEntry& entry : network.arena().parameters())
    if (entry.name.ends_with("noise_strength")) entry.tensor.detach().fill_(0.3);
  network.arena().enable_gradients();
}

/// What the gradients by the parameters are of: a projection alone, or also the square of its
/// gradient by the input, as regularisation has it.
enum class Loss { plain, penalised };

/// Images, the gradient by the latents, and that of the loss by the parameters.
Tensors results_of(StyleGan2Generator& g, Loss kind) {
  const at::ScalarType type = g.arena().options().dtype().toScalarType();
  const at::Tensor ws = normal({2, g.num_ws(), g.w_dim()}, 7).to(type).requires_grad_();
  const at::Tensor image = g.synthesize(ws);
  const at::Tensor loss = (image * normal(image.sizes(), 8).to(type)).sum();
  const at::Tensor slope = torch::autograd::grad({loss}, {ws}, {}, true, true)[0];
  const at::Tensor total = kind == Loss::plain ? loss : loss + slope.square().sum();
  return {image.detach(), slope.detach(), gradients(g, total)};
}

/// Logits, the gradient by the image, and that of the loss by the parameters.
Tensors results_of(StyleGan2Discriminator& d, int64_t channels, Loss kind) {
  const at::ScalarType type = d.arena().options().dtype().toScalarType();
  const at::Tensor image = normal({4, channels, 32, 32}, 1).to(type).requires_grad_();
  const at::Tensor logits = d.logits(image, {});
  const at::Tensor slope = torch::autograd::grad({logits.sum()}, {image}, {}, true, true)[0];
  const at::Tensor total = kind == Loss::plain ? logits.sum() : slope.square().sum();
  return {logits.detach(), slope.detach(), gradients(d, total)};
}

void expect_near(const Tensors& a, const Tensors& b, double tolerance) {
  for (size_t k = 0; k < a.size(); ++k) {
    const double scale = b[k].abs().max().item<double>();
    ASSERT_GT(scale, 0) << k;
    EXPECT_LE((a[k] - b[k]).abs().max().item<double>(), tolerance * scale) << k;
  }
}

// A value is rounded by 2^-9 of itself at each of the few steps of some ten layers, and once more
// where gradients pass; sums in another order round to other neighbours.
constexpr double kBfloat16Error = 0.1;

/// Architecture, and channels of the images. Two of four resolutions may compute in 16 bits.
class ChannelsLast : public ::testing::TestWithParam<std::tuple<Architecture, int64_t>> {
 protected:
  StyleGan2Config generator() const {
    StyleGan2Config config;
    config.z_dim = config.w_dim = 8;
    config.img_resolution = 32;
    config.img_channels = std::get<1>(GetParam());
    config.mapping_layers = 2;
    config.channel_base = 128;
    config.channel_max = 12;
    config.num_fp16_res = 2;
    config.architecture = std::get<0>(GetParam());
    return config;
  }
  DiscriminatorConfig discriminator() const {
    DiscriminatorConfig config;
    config.img_resolution = 32;
    config.img_channels = std::get<1>(GetParam());
    config.channel_base = 128;
    config.channel_max = 12;
    config.num_fp16_res = 2;
    config.architecture = std::get<0>(GetParam());
    return config;
  }
  Tensors results(StyleGan2Generator& g, Loss kind) const { return results_of(g, kind); }
  Tensors results(StyleGan2Discriminator& d, Loss kind) const {
    return results_of(d, std::get<1>(GetParam()), kind);
  }

  /// With float64 in the place of 16 bits.
  template <class N>
  void expect_same_numbers(N& network) const {
    draw(network);
    network.set_low_precision(at::kDouble);
    const Tensors rows = results(network, Loss::penalised);
    network.set_channels_last(true);
    const SeenImages seen;
    const Tensors pixels = results(network, Loss::penalised);
    EXPECT_GT(SeenImages::count(at::kDouble, kPixels), 0);
    EXPECT_TRUE(pixels[0].is_contiguous());
    expect_near(pixels, rows, 1e-12);
  }

  /// LibTorch's second derivatives of convolutions exchange samples and channels, so only first
  /// ones are looked at.
  template <class N>
  void expect_order_of_layers(N& network) const {
    draw(network);
    network.set_channels_last(true);
    {
      const SeenImages seen;
      results(network, Loss::plain);
      EXPECT_EQ(SeenImages::count(at::kFloat, kPixels), 0) << "no layer is of 16 bits";
    }
    network.set_low_precision(at::kBFloat16);
    const SeenImages seen;
    const Tensors pixels = results(network, Loss::plain);
    EXPECT_GT(SeenImages::count(at::kBFloat16, kPixels), 0);
    EXPECT_EQ(SeenImages::count(at::kBFloat16, kRows), 0);
    EXPECT_GT(SeenImages::count(at::kFloat, kRows), 0);
    EXPECT_EQ(SeenImages::count(at::kFloat, kPixels), 0);
    network.set_channels_last(false);
    expect_near(pixels, results(network, Loss::plain), kBfloat16Error);
  }
};

TEST_P(ChannelsLast, GeneratorsMakeTheSameNumbers) {
  StyleGan2Generator network(generator(), at::kDouble);
  expect_same_numbers(network);
}

TEST_P(ChannelsLast, DiscriminatorsMakeTheSameNumbers) {
  StyleGan2Discriminator network(discriminator(), at::kDouble);
  expect_same_numbers(network);
}

TEST_P(ChannelsLast, AllConvolutionsOfSixteenBitsInGenerators) {
  StyleGan2Generator network(generator(), at::kFloat);
  expect_order_of_layers(network);
}

TEST_P(ChannelsLast, AllConvolutionsOfSixteenBitsInDiscriminators) {
  StyleGan2Discriminator network(discriminator(), at::kFloat);
  expect_order_of_layers(network);
}

INSTANTIATE_TEST_SUITE_P(All, ChannelsLast,
                         ::testing::Combine(::testing::Values(Architecture::orig,
                                                              Architecture::skip,
                                                              Architecture::resnet),
                                            ::testing::Values(1, 3)),
                         [](const auto& info) {
                           return architecture_name(std::get<0>(info.param)) +
                                  std::to_string(std::get<1>(info.param));
                         });

TEST(ChannelsLastWeights, LieAsTheImages) {
  const at::Tensor x = normal({2, 4, 5, 6}, 1).to(at::kBFloat16), w = normal({3, 4, 3, 3}, 2);
  for (const at::MemoryFormat format : {kRows, kPixels}) {
    const at::Tensor weight = as_weight_for(x.contiguous(format), w);
    EXPECT_TRUE(weight.is_contiguous(format));
    EXPECT_TRUE(at::equal(weight, w.to(at::kBFloat16)));
  }
}

}  // namespace
}  // namespace galette
