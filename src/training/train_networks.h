// SPDX-License-Identifier: Apache-2.0
// From the options of a run to its networks, losses and augmentations.
#pragma once

#include <memory>
#include <optional>

#include "training/augment.h"
#include "training/loss_config.h"
#include "training/phases.h"
#include "training/train_options.h"
#include "training/train_state.h"

namespace galette {

/// What networks need to know of the images that they are trained with.
struct ImageShape {
  int64_t resolution = 0;
  int64_t channels = 0;
  int64_t label_dim = 0;  ///< 0 when training is not conditional
};

/// How LibTorch computes on GPUs in a run of this precision: with or without TF32, trying out
/// convolution algorithms or not. For the whole process.
void set_gpu_arithmetic(const TrainOptions& options);

/// Element type and device of a run's tensors.
at::TensorOptions tensor_options(const TrainOptions& options);

// All of these take resolved options.

/// Networks without values.
std::unique_ptr<Generator> make_run_generator(const TrainOptions& options, const ImageShape& shape);
std::unique_ptr<Discriminator> make_run_discriminator(const TrainOptions& options,
                                                      const ImageShape& shape);
/// What of the optimisers' work is done by a rank.
OptimizerShare optimizer_share(const TrainOptions& options, int rank);
/// Freshly initialised networks.
TrainState make_train_state(const TrainOptions& options, const ImageShape& shape,
                            const OptimizerShare& share);

LazyIntervals lazy_intervals(const TrainOptions& options);
LossConfig loss_config(const TrainOptions& options);
/// Whether phases are recorded: by default on a GPU that works alone, since gradients that travel
/// during the backward pass hide more than launches cost.
PhaseExecution phase_execution(const TrainOptions& options);
AdaConfig ada_config(const TrainOptions& options);
/// Without a value when nothing is to be augmented.
std::optional<AugmentPipe> make_augment_pipe(const TrainOptions& options, const ImageShape& shape);

}  // namespace galette
