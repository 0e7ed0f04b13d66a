// SPDX-License-Identifier: Apache-2.0
// The random inputs of training, as functions of (phase, iteration, global sample). The iteration
// is the one that begin_iteration() named last; work on a GPU finds it there in memory, so that
// what is recorded once draws anew whenever it is repeated.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

#include "base/sample_rng.h"

namespace galette {

class Draws {
 public:
  /// options: type and device of the networks.
  Draws(SampleRng rng, at::TensorOptions options);

  /// Work that is queued from now on draws for this iteration. Does not wait for the device.
  void begin_iteration(int64_t iteration);
  int64_t iteration() const { return iteration_; }

  /// Latents [n, z_dim] of samples in one phase.
  at::Tensor latents(Phase phase, const std::vector<int64_t>& samples, int64_t z_dim) const;
  /// The latents [n, z_dim] of style mixing, and from which layer on each sample takes them: int64
  /// [n] on the CPU, uniform in 1 .. num_ws-1 with this probability, else num_ws (Karras et al.
  /// 2019).
  at::Tensor second_latents(Phase phase, const std::vector<int64_t>& samples, int64_t z_dim) const;
  at::Tensor style_cuts(Phase phase, const std::vector<int64_t>& samples, int64_t num_ws,
                        double probability) const;
  /// Noise [n, 1, size, size] of one layer of the generator.
  at::Tensor layer_noise(Phase phase, const std::vector<int64_t>& samples, int64_t layer,
                         int64_t size) const;
  /// Noise images [n, C, R, R] for path lengths.
  at::Tensor path_noise(const std::vector<int64_t>& samples, int64_t channels,
                        int64_t resolution) const;
  /// The dataset item, of `items`, whose label a generated sample takes.
  int64_t label_item(Phase phase, int64_t sample, int64_t items) const;
  /// Latents [n, z_dim] of the cells of the sample grid, equal in all iterations.
  at::Tensor grid_latents(int64_t first, int64_t count, int64_t z_dim) const;

  const SampleRng& rng() const { return rng_; }

 private:
  /// Of the present iteration.
  Stream stream(Purpose purpose, Phase phase, int64_t sub = 0) const;
  at::Tensor normal(const Stream& stream, const std::vector<int64_t>& samples,
                    const std::vector<int64_t>& shape) const;

  SampleRng rng_;
  at::TensorOptions options_;
  int64_t iteration_ = 0;
  at::Tensor iteration_on_device_;  ///< int32 [1]
};

}  // namespace galette
