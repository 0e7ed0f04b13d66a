// SPDX-License-Identifier: Apache-2.0
// What a run will hold in memory, told before it starts.
#pragma once

#include <cstdint>

#include "training/train_networks.h"

namespace galette {

/// Bytes of one rank.
struct MemoryEstimate {
  int64_t state = 0;        ///< networks, gradients, moments
  int64_t save = 0;         ///< the copy of this rank's share, while a checkpoint is being written
  int64_t activations = 0;  ///< of the largest phase
  int64_t program = 0;      ///< libraries and what they keep
  int64_t total() const { return state + save + activations + program; }
};

/// An estimate, not a bound: within about a third of what `galette bench step` measures.
MemoryEstimate estimate_memory(const TrainOptions& options, const Generator& g,
                               const Discriminator& d);

/// Logs parameter counts and the estimate for networks of these options. Resolved options.
void log_sizes(const TrainOptions& options, const ImageShape& shape);

}  // namespace galette
