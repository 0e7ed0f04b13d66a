// SPDX-License-Identifier: Apache-2.0
// What the phases of an iteration work on: latents, labels, noise and real images of a micro-batch,
// and the discriminator behind the augmentations that are drawn for it. All of it is a function of
// (seed, iteration, phase, global sample), whatever the split of the batch.
#pragma once

#include <functional>
#include <vector>

#include <ATen/ATen.h>

#include "training/augment.h"
#include "training/draws.h"
#include "training/loss_config.h"
#include "training/losses.h"
#include "training/train_state.h"

namespace galette {

/// The real images of one iteration on this rank, shared by its phases.
struct RealBatch {
  at::Tensor images;  ///< uint8 [local, C, R, R]
  at::Tensor labels;  ///< float [local, label_dim]
};

/// What a discriminator is shown.
enum class Judged { generated, real };

class PhaseInputs {
 public:
  using Samples = std::vector<int64_t>;  ///< global numbers of the samples of a micro-batch
  /// Labels [n, c_dim] of generated samples in a phase of an iteration.
  using FakeLabels = std::function<at::Tensor(Phase, int64_t, const Samples&)>;

  /// Everything given must outlive the object; without a pipe, nothing is augmented.
  PhaseInputs(const TrainState& state, const LossConfig& config, const Draws& draws,
              FakeLabels fake_labels, const AugmentPipe* pipe);

  /// [n, z_dim] and [n, c_dim].
  at::Tensor latents(Phase phase, const Samples& samples) const;
  at::Tensor labels(Phase phase, const Samples& samples) const;
  /// Latents of all layers, with styles mixed: w [n, w_dim] -> [n, num_ws, w_dim].
  at::Tensor all_layers(Phase phase, const Samples& samples, const at::Tensor& w,
                        const at::Tensor& c) const;
  /// Noise for the layers of the generator.
  SynthesisOptions synthesis(Phase phase, const Samples& samples) const;
  /// Images [n, C, R, R] for path lengths.
  at::Tensor path_noise(const Samples& samples) const;
  /// The discriminator, behind blur and the augmentations of these samples, which differ for
  /// generated and real images.
  Critic critic(Phase phase, Judged judged, const Samples& samples) const;

  /// `count` reals from place `first` on: images of the networks' type in [-1, 1], and labels.
  at::Tensor real_images(const RealBatch& reals, int64_t first, int64_t count) const;
  at::Tensor real_labels(const RealBatch& reals, int64_t first, int64_t count) const;

 private:
  const TrainState& state_;
  const LossConfig& config_;
  const Draws& draws_;
  FakeLabels fake_labels_;
  const AugmentPipe* pipe_;
};

}  // namespace galette
