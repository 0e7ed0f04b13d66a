// SPDX-License-Identifier: Apache-2.0
#include "models/efficientnet.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace galette {
namespace {

constexpr double kEpsilon = 0.001;
constexpr int64_t kSize = 224;
constexpr int64_t kStemChannels = 32;

struct Stage {
  int64_t repeats, kernel, stride, expansion, out;
};
constexpr std::array<Stage, 7> kStages{{{1, 3, 1, 1, 16},
                                        {2, 3, 2, 6, 24},
                                        {2, 5, 2, 6, 40},
                                        {3, 3, 2, 6, 80},
                                        {3, 5, 1, 6, 112},
                                        {4, 5, 2, 6, 192},
                                        {1, 3, 1, 6, 320}}};

/// TensorFlow's padding "same" for images of even size. With stride 2 the odd pixel goes right and
/// below; a kernel with a row and a column of zeros in front does the same with even padding, which
/// is faster than padding images.
FixedConv with_same_padding(FixedConv conv) {
  conv.shape.padding = {conv.shape.height / 2, conv.shape.width / 2};
  if (conv.shape.stride == 2) {
    conv.weight =
        at::constant_pad_nd(conv.weight, {1, 0, 1, 0}).contiguous(at::MemoryFormat::ChannelsLast);
  }
  return conv;
}

at::Tensor activate(at::Tensor x) {
  return x.clamp_(0, 6);
}

}  // namespace

EfficientNetLite::EfficientNetLite(const WeightReader& weights, std::string digest)
    : Detector("efficientnet", std::move(digest)) {
  stem_ = with_same_padding(
      folded_conv(weights, "_conv_stem", "_bn0", kEpsilon, {3, kStemChannels, 3, 3, 2}));
  int64_t channels = kStemChannels;
  for (const Stage& stage : kStages) {
    for (int64_t i = 0; i < stage.repeats; ++i) {
      const int64_t inner = channels * stage.expansion;
      add_block(weights,
                {.in = channels,
                 .out = inner,
                 .height = stage.kernel,
                 .width = stage.kernel,
                 .stride = i == 0 ? stage.stride : 1},
                stage.out);
      channels = stage.out;
    }
  }
  head_ = folded_conv(weights, "_conv_head", "_bn1", kEpsilon, {channels, feature_dim()});
}

/// `spatial` has the block's input and inner channels.
void EfficientNetLite::add_block(const WeightReader& weights, const FixedConv::Shape& spatial,
                                 int64_t out) {
  const std::string prefix = fmt::format("_blocks.{}._", blocks_.size());
  const int64_t inner = spatial.out;
  Block block;
  if (inner != spatial.in) {
    block.expand =
        folded_conv(weights, prefix + "expand_conv", prefix + "bn0", kEpsilon, {spatial.in, inner});
  }
  FixedConv::Shape depthwise = spatial;
  depthwise.in = inner;
  depthwise.depthwise = true;
  block.depthwise = with_same_padding(
      folded_conv(weights, prefix + "depthwise_conv", prefix + "bn1", kEpsilon, depthwise));
  block.project =
      folded_conv(weights, prefix + "project_conv", prefix + "bn2", kEpsilon, {inner, out});
  block.residual = spatial.stride == 1 && spatial.in == out;
  blocks_.push_back(std::move(block));
}

at::Tensor EfficientNetLite::run(const Block& block, const at::Tensor& x) {
  at::Tensor y = block.expand ? activate((*block.expand)(x)) : x;
  y = activate(block.depthwise(y));
  y = block.project(y);
  return block.residual ? y.add_(x) : y;
}

at::Tensor EfficientNetLite::compute(const at::Tensor& images) const {
  const at::Tensor rgb =
      (resize_half_pixel(as_rgb(images, stem_.weight.options()), kSize) - 127) / 128;
  at::Tensor x = activate(stem_(rgb));
  for (const Block& block : blocks_) x = run(block, x);
  return activate(head_(x)).mean({2, 3});
}

at::Tensor EfficientNetLite::features(const at::Tensor& images) const {
  return in_pieces(images, [this](const at::Tensor& piece) { return compute(piece); });
}

}  // namespace galette
