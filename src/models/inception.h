// SPDX-License-Identifier: Apache-2.0
// Inception-v3 as the Frechet inception distance uses it: the graph of 5 December 2015 (Szegedy et
// al. 2016), whose average pools do not count padding, whose last block pools by maximum, and which
// has 1008 classes. Tensors by the names of the usual ports: STAGE[.BRANCH].conv.weight,
// .bn.{weight, bias, running_mean, running_var}, fc.weight.
#pragma once

#include <string>
#include <vector>

#include "models/detector.h"
#include "models/fixed_layers.h"

namespace galette {

enum class InceptionPool {
  none,
  average,  ///< 3x3, stride 1
  maximum,  ///< 3x3, stride 1
  reduce    ///< maximum of 3x3, stride 2
};

/// A pool, then convolutions one after the other, then some side by side, whose results are
/// concatenated. Each convolution is followed by a rectifier.
struct InceptionBranch {
  InceptionPool pool = InceptionPool::none;
  std::vector<FixedConv> chain, fork;
};

/// Branches of the same input, whose results are concatenated.
using InceptionBlock = std::vector<InceptionBranch>;

class Inception : public Detector {
 public:
  /// Computes in the type of the weights. Throws InputError when tensors are missing or have other
  /// shapes.
  Inception(const WeightReader& weights, InceptionInput input, std::string digest = "");

  /// Whether tensors have this network's names.
  static bool is_in(const WeightMap& weights) {
    return weights.contains("Conv2d_1a_3x3.conv.weight");
  }

  /// [n, 2048], the mean over the last 8x8 positions.
  at::Tensor features(const at::Tensor& images) const override;
  int64_t feature_dim() const override { return 2048; }
  at::Tensor log_probabilities(const at::Tensor& images) const override;
  /// Features -> logits [n, 1008] without bias.
  at::Tensor logits(const at::Tensor& features) const;

 private:
  at::Tensor compute(const at::Tensor& images) const;

  InceptionInput input_;
  std::vector<InceptionBlock> blocks_;
  at::Tensor fc_;  // [1008, 2048]
};

}  // namespace galette
