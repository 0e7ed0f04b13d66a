// SPDX-License-Identifier: Apache-2.0
// The random inputs of training, as functions of (phase, iteration, global sample).
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

#include "base/sample_rng.h"

namespace galette {

class Draws {
 public:
  Draws(SampleRng rng, at::TensorOptions options) : rng_(rng), options_(options) {}

  /// Latents [n, z_dim] of samples in one phase of an iteration.
  at::Tensor latents(Phase phase, int64_t iteration, const std::vector<int64_t>& samples,
                     int64_t z_dim) const;
  /// The latents [n, z_dim] of style mixing, and from which layer on each sample takes them: int64
  /// [n], uniform in 1 .. num_ws-1 with this probability, else num_ws (Karras et al. 2019).
  at::Tensor second_latents(Phase phase, int64_t iteration, const std::vector<int64_t>& samples,
                            int64_t z_dim) const;
  at::Tensor style_cuts(Phase phase, int64_t iteration, const std::vector<int64_t>& samples,
                        int64_t num_ws, double probability) const;
  /// Noise [n, 1, size, size] of one layer of the generator.
  at::Tensor layer_noise(Phase phase, int64_t iteration, const std::vector<int64_t>& samples,
                         int64_t layer, int64_t size) const;
  /// Noise images [n, C, R, R] for path lengths.
  at::Tensor path_noise(int64_t iteration, const std::vector<int64_t>& samples, int64_t channels,
                        int64_t resolution) const;
  /// The dataset item, of `items`, whose label a generated sample takes.
  int64_t label_item(Phase phase, int64_t iteration, int64_t sample, int64_t items) const;
  /// Latents [n, z_dim] of the cells of the sample grid, equal in all iterations.
  at::Tensor grid_latents(int64_t first, int64_t count, int64_t z_dim) const;

  const SampleRng& rng() const { return rng_; }

 private:
  at::Tensor normal(const Stream& stream, const std::vector<int64_t>& samples,
                    const std::vector<int64_t>& shape) const;

  SampleRng rng_;
  at::TensorOptions options_;
};

}  // namespace galette
