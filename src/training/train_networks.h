// SPDX-License-Identifier: Apache-2.0
// From the options of a run to its networks and losses.
#pragma once

#include "training/phases.h"
#include "training/train_options.h"
#include "training/train_state.h"

namespace galette {

/// Element type and device of a run's tensors.
at::TensorOptions tensor_options(const TrainOptions& options);

/// Freshly initialised networks for images of this shape. `options` are resolved; label_dim is 0
/// when they are not conditional.
TrainState make_train_state(const TrainOptions& options, int64_t resolution, int64_t channels,
                            int64_t label_dim);

LossConfig loss_config(const TrainOptions& options);

}  // namespace galette
