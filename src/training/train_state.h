// SPDX-License-Identifier: Apache-2.0
// Everything of a run that survives a kill, in one place: the networks, their optimisers' moments
// and a few scalars. Randomness has no state, so a run goes on from this as if nothing had
// happened.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "io/checkpoint.h"
#include "models/network.h"
#include "parallel/communicator.h"
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
             const LazyIntervals& intervals, uint64_t seed, const OptimizerShare& share = {});

  /// What all ranks have alike: views of the live memory (on CPUs).
  std::vector<io::FlatArray> arrays() const;
  /// The arrays of a checkpoint: arrays(), and what this rank writes of second moments that the
  /// ranks share. Collective.
  std::vector<io::FlatArray> arrays_to_write(io::CheckpointWriter writer, Communicator& comm,
                                             MPI_Comm files) const;
  /// The arrays of a checkpoint to be read. Then take_read() takes what is not in place.
  std::vector<io::FlatArray> arrays_to_read() const;
  void take_read(const std::vector<io::FlatArray>& arrays);
  /// The scalars of a checkpoint.
  nlohmann::json scalars() const;
  void set_scalars(const nlohmann::json& scalars);

 private:
  /// `moment`: the second moments of an optimiser, or undefined to leave them out.
  std::vector<io::FlatArray> arrays_with(
      const std::function<at::Tensor(const Adam&)>& moment) const;
};

}  // namespace galette
