// SPDX-License-Identifier: Apache-2.0
// Everything of a run that survives a kill, in one place: the networks, their optimisers' moments
// and a few scalars. Randomness has no state, so a run goes on from this as if nothing had
// happened.
#pragma once

#include <memory>
#include <optional>

#include "io/checkpoint.h"
#include "models/network.h"
#include "training/ada.h"
#include "training/adam.h"
#include "training/losses.h"

namespace galette {

/// Intervals, in iterations, of the regularisation phases; 1 means that there is none.
struct LazyIntervals {
  int64_t g = 4;
  int64_t d = 16;
};

struct TrainState {
  std::unique_ptr<Generator> g, g_ema;
  std::unique_ptr<Discriminator> d;
  std::optional<Adam> g_adam, d_adam;
  PathLengthMean path_length_mean;
  AdaController ada{AdaConfig{}};

  int64_t iteration = 0;   ///< t: iterations done
  int64_t images = 0;      ///< N: real images shown
  int64_t tick = 0;        ///< status lines written
  int64_t tick_start = 0;  ///< images at the start of the current tick
  double seconds = 0;      ///< of work before this process started

  /// Initial networks, identical on all ranks; G_ema starts as G.
  TrainState(std::unique_ptr<Generator> generator, std::unique_ptr<Generator> average,
             std::unique_ptr<Discriminator> discriminator, double g_lr, double d_lr,
             const LazyIntervals& intervals, uint64_t seed);

  /// The arrays of a checkpoint: views of the live memory (on CPUs), for writing and for reading.
  std::vector<io::FlatArray> arrays() const;
  /// The scalars of a checkpoint.
  nlohmann::json scalars() const;
  void set_scalars(const nlohmann::json& scalars);
};

}  // namespace galette
