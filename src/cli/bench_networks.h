// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "training/train_networks.h"

namespace galette {

/// Channels of the images that benchmarks make and look at.
inline constexpr int64_t kBenchChannels = 3;

/// Fills in what depends on other options, as for a run with seed 0 on images of a side, and checks
/// that they fit together. Throws InputError.
void resolve_for_bench(TrainOptions& options, int64_t resolution, int ranks);

}  // namespace galette
