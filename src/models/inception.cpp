// SPDX-License-Identifier: Apache-2.0
#include "models/inception.h"

#include <utility>

namespace galette {
namespace {

using Pool = InceptionPool;

constexpr double kEpsilon = 0.001;
constexpr int64_t kSize = 299;
constexpr int64_t kClasses = 1008;

struct UnitPlan {
  std::string name = {};
  int64_t out = 0, height = 1, width = 1, stride = 1;
  bool padded = true;  ///< to keep the size; never with stride 2
};

struct BranchPlan {
  std::vector<UnitPlan> chain = {};
  Pool pool = Pool::none;
  std::vector<UnitPlan> fork = {};
};

using BlockPlan = std::vector<BranchPlan>;

BlockPlan block_a(int64_t pooled) {
  return {{{{"branch1x1", 64}}},
          {{{"branch5x5_1", 48}, {"branch5x5_2", 64, 5, 5}}},
          {{{"branch3x3dbl_1", 64}, {"branch3x3dbl_2", 96, 3, 3}, {"branch3x3dbl_3", 96, 3, 3}}},
          {{{"branch_pool", pooled}}, Pool::average}};
}

BlockPlan block_b() {
  return {{{{"branch3x3", 384, 3, 3, 2}}},
          {{{"branch3x3dbl_1", 64}, {"branch3x3dbl_2", 96, 3, 3}, {"branch3x3dbl_3", 96, 3, 3, 2}}},
          {{}, Pool::reduce}};
}

BlockPlan block_c(int64_t inner) {
  return {{{{"branch1x1", 192}}},
          {{{"branch7x7_1", inner}, {"branch7x7_2", inner, 1, 7}, {"branch7x7_3", 192, 7, 1}}},
          {{{"branch7x7dbl_1", inner},
            {"branch7x7dbl_2", inner, 7, 1},
            {"branch7x7dbl_3", inner, 1, 7},
            {"branch7x7dbl_4", inner, 7, 1},
            {"branch7x7dbl_5", 192, 1, 7}}},
          {{{"branch_pool", 192}}, Pool::average}};
}

BlockPlan block_d() {
  return {{{{"branch3x3_1", 192}, {"branch3x3_2", 320, 3, 3, 2}}},
          {{{"branch7x7x3_1", 192},
            {"branch7x7x3_2", 192, 1, 7},
            {"branch7x7x3_3", 192, 7, 1},
            {"branch7x7x3_4", 192, 3, 3, 2}}},
          {{}, Pool::reduce}};
}

BlockPlan block_e(Pool pool) {
  return {{{{"branch1x1", 320}}},
          {{{"branch3x3_1", 384}},
           Pool::none,
           {{"branch3x3_2a", 384, 1, 3}, {"branch3x3_2b", 384, 3, 1}}},
          {{{"branch3x3dbl_1", 448}, {"branch3x3dbl_2", 384, 3, 3}},
           Pool::none,
           {{"branch3x3dbl_3a", 384, 1, 3}, {"branch3x3dbl_3b", 384, 3, 1}}},
          {{{"branch_pool", 192}}, pool}};
}

class Builder {
 public:
  explicit Builder(const WeightReader& weights) : weights_(weights) {}

  void add(const std::string& prefix, const BlockPlan& plan) {
    InceptionBlock block;
    int64_t out = 0;
    for (const BranchPlan& branch : plan) {
      InceptionBranch made{branch.pool, {}, {}};
      int64_t channels = channels_;
      for (const UnitPlan& unit : branch.chain) {
        made.chain.push_back(conv(prefix + unit.name, unit, channels));
        channels = unit.out;
      }
      if (branch.fork.empty()) out += channels;
      for (const UnitPlan& unit : branch.fork) {
        made.fork.push_back(conv(prefix + unit.name, unit, channels));
        out += unit.out;
      }
      block.push_back(std::move(made));
    }
    blocks_.push_back(std::move(block));
    channels_ = out;
  }

  std::vector<InceptionBlock> blocks() { return std::move(blocks_); }

 private:
  FixedConv conv(const std::string& name, const UnitPlan& unit, int64_t in) const {
    const bool padded = unit.padded && unit.stride == 1;
    const FixedConv::Shape shape{in,
                                 unit.out,
                                 unit.height,
                                 unit.width,
                                 unit.stride,
                                 padded ? std::vector<int64_t>{unit.height / 2, unit.width / 2}
                                        : std::vector<int64_t>{0, 0}};
    return folded_conv(weights_, name + ".conv", name + ".bn", kEpsilon, shape);
  }

  const WeightReader& weights_;
  int64_t channels_ = 3;
  std::vector<InceptionBlock> blocks_;
};

BlockPlan stem() {
  return {{{{"Conv2d_1a_3x3", 32, 3, 3, 2},
            {"Conv2d_2a_3x3", 32, 3, 3, 1, false},
            {"Conv2d_2b_3x3", 64, 3, 3}}}};
}

std::vector<InceptionBlock> make_blocks(const WeightReader& weights) {
  Builder builder(weights);
  builder.add("", stem());
  builder.add("",
              {{{{"Conv2d_3b_1x1", 80}, {"Conv2d_4a_3x3", 192, 3, 3, 1, false}}, Pool::reduce}});
  builder.add("", {{{}, Pool::reduce}});
  builder.add("Mixed_5b.", block_a(32));
  builder.add("Mixed_5c.", block_a(64));
  builder.add("Mixed_5d.", block_a(64));
  builder.add("Mixed_6a.", block_b());
  builder.add("Mixed_6b.", block_c(128));
  builder.add("Mixed_6c.", block_c(160));
  builder.add("Mixed_6d.", block_c(160));
  builder.add("Mixed_6e.", block_c(192));
  builder.add("Mixed_7a.", block_d());
  builder.add("Mixed_7b.", block_e(Pool::average));
  builder.add("Mixed_7c.", block_e(Pool::maximum));
  return builder.blocks();
}

at::Tensor pooled(const at::Tensor& x, Pool pool) {
  switch (pool) {
    case Pool::average:
      return at::avg_pool2d(x, 3, 1, 1, false, /*count_include_pad=*/false);
    case Pool::maximum:
      return at::max_pool2d(x, 3, 1, 1);
    case Pool::reduce:
      return at::max_pool2d(x, 3, 2);
    case Pool::none:
      break;
  }
  return x;
}

at::Tensor run(const InceptionBranch& branch, const at::Tensor& x) {
  at::Tensor y = pooled(x, branch.pool);
  for (const FixedConv& conv : branch.chain) y = conv(y).relu_();
  if (branch.fork.empty()) return y;
  std::vector<at::Tensor> parts;
  for (const FixedConv& conv : branch.fork) parts.push_back(conv(y).relu_());
  return at::cat(parts, 1);
}

at::Tensor run(const InceptionBlock& block, const at::Tensor& x) {
  if (block.size() == 1) return run(block[0], x);
  std::vector<at::Tensor> parts;
  for (const InceptionBranch& branch : block) parts.push_back(run(branch, x));
  return at::cat(parts, 1);
}

}  // namespace

Inception::Inception(const WeightReader& weights, InceptionInput input, std::string digest)
    : Detector("inception", std::move(digest)),
      input_(input),
      blocks_(make_blocks(weights)),
      fc_(weights.get("fc.weight", {kClasses, feature_dim()})) {}

at::Tensor Inception::compute(const at::Tensor& images) const {
  const at::Tensor rgb = as_rgb(images, fc_.options());
  at::Tensor x = input_ == InceptionInput::tensorflow
                     ? (resize_tensorflow(rgb, kSize) - 128) / 128
                     : (resize_half_pixel(rgb, kSize) - 127.5) / 127.5;
  for (const InceptionBlock& block : blocks_) x = run(block, x);
  return x.mean({2, 3});
}

at::Tensor Inception::features(const at::Tensor& images) const {
  return in_pieces(images, [this](const at::Tensor& piece) { return compute(piece); });
}

at::Tensor Inception::logits(const at::Tensor& features) const {
  return at::linear(features, fc_);
}

at::Tensor Inception::log_probabilities(const at::Tensor& images) const {
  return at::log_softmax(logits(features(images)), 1);
}

}  // namespace galette
