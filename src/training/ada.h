// SPDX-License-Identifier: Apache-2.0
// The controller of adaptive augmentation: raises the strength p while the discriminator tells real
// images too surely, by the mean sign of its outputs, and lowers it again. Source: Karras et al.
// 2020, "Training Generative Adversarial Networks with Limited Data", section 3.1.
#pragma once

#include <cstdint>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include "parallel/communicator.h"

namespace galette {

enum class AugmentMode {
  none,   ///< p = 0, and no images are augmented
  ada,    ///< p follows the discriminator
  fixed,  ///< p stays
};

struct AdaConfig {
  AugmentMode mode = AugmentMode::none;
  double p = 0;          ///< at the start
  double target = 0.6;   ///< mean sign that is aimed at
  double kimg = 500;     ///< thousands of images in which p can rise by 1; 100 after a transfer
  int64_t interval = 4;  ///< iterations between adjustments
};

class AdaController {
 public:
  explicit AdaController(const AdaConfig& config);

  /// Strength, the same on all ranks; at least 0, without an upper bound.
  double p() const { return p_; }
  /// Whether images are augmented at all, now or later.
  bool augments() const { return config_.mode == AugmentMode::ada || p_ > 0; }

  /// Takes note of D(real) of this rank, any shape. Does not wait for the device.
  void observe(const at::Tensor& logits);
  /// What was observed since the last adjustment, int64: changed in place.
  at::Tensor seen() const { return seen_; }
  /// Call at the end of each iteration, with the number of iterations done and the images in one.
  /// Adjusts p when its interval is over. Collective.
  void update(int64_t iteration, int64_t batch, Communicator& comm);

  /// For a checkpoint: p and what all ranks observed since its last change. Collective.
  nlohmann::json save(Communicator& comm) const;
  /// Takes that back on any number of ranks.
  void load(const nlohmann::json& state, const Communicator& comm);

 private:
  AdaConfig config_;
  double p_;
  at::Tensor seen_;  ///< int64: positive, negative, all, NaN logits since the last adjustment
};

}  // namespace galette
