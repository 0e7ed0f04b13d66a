// SPDX-License-Identifier: Apache-2.0
// What the phases of an iteration work on: latents, labels, noise and real images of a micro-batch,
// and the discriminator behind the augmentations that are drawn for it. All of it is a function of
// (seed, iteration, phase, global sample), whatever the split of the batch.
//
// The host draws what is small or comes from a file, for all micro-batches of a phase, by draw();
// the rest is made on the device from that and from the number of the iteration that lies there.
#pragma once

#include <functional>
#include <vector>

#include <ATen/ATen.h>

#include "training/augment.h"
#include "training/batch_plan.h"
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

/// What the host gives to n samples, on the networks' device; undefined where a phase has no use
/// for it.
struct MicroBatch {
  std::vector<int64_t> samples;  ///< their global numbers
  at::Tensor labels;             ///< [n, c_dim] of generated samples
  at::Tensor style_cuts;         ///< int64 [n], see mix_styles()
  AugmentTensors of_generated, of_real;
  at::Tensor real_images;  ///< uint8 [n, C, R, R]
  at::Tensor real_labels;  ///< [n, c_dim]
};

/// What the host gives to a phase.
struct PhaseDraws {
  std::vector<MicroBatch> micro;
  double blur_sigma = 0;

  /// All tensors of all micro-batches, in a fixed order.
  std::vector<at::Tensor*> all();
};

/// How many samples of the whole batch take part in path-length regularisation: every other one.
int64_t path_sample_count(const BatchPlan& plan);

class PhaseInputs {
 public:
  using Samples = std::vector<int64_t>;
  /// Labels [n, c_dim] of generated samples in a phase of the iteration that is drawn for.
  using FakeLabels = std::function<at::Tensor(Phase, const Samples&)>;

  /// Everything given must outlive the object; without a pipe, nothing is augmented.
  PhaseInputs(const TrainState& state, const LossConfig& config, Draws& draws,
              FakeLabels fake_labels, const AugmentPipe* pipe);

  /// All micro-batches of a phase of iteration `state.iteration`. Does not wait for the device.
  PhaseDraws draw(Phase phase, const BatchPlan& plan, const RealBatch& reals) const;

  // --- From here on nothing depends on the host's state ---
  /// [n, z_dim].
  at::Tensor latents(Phase phase, const MicroBatch& micro) const;
  /// Latents of all layers, with styles mixed: w [n, w_dim] -> [n, num_ws, w_dim].
  at::Tensor all_layers(Phase phase, const MicroBatch& micro, const at::Tensor& w) const;
  /// Noise for the layers of the generator.
  SynthesisOptions synthesis(Phase phase, const MicroBatch& micro) const;
  /// Images [n, C, R, R] for path lengths.
  at::Tensor path_noise(const MicroBatch& micro) const;
  /// The discriminator, behind blur and the augmentations of these samples, which differ for
  /// generated and real images.
  Critic critic(const PhaseDraws& draws, const MicroBatch& micro, Judged judged) const;
  /// Real images of the networks' type in [-1, 1].
  at::Tensor real_images(const MicroBatch& micro) const;

 private:
  AugmentTensors augmentation(Phase phase, const Samples& samples, Judged judged) const;

  const TrainState& state_;
  const LossConfig& config_;
  Draws& draws_;
  FakeLabels fake_labels_;
  const AugmentPipe* pipe_;
};

}  // namespace galette
