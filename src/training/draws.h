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
  /// Noise images [n, C, R, R] for path lengths.
  at::Tensor path_noise(int64_t iteration, const std::vector<int64_t>& samples, int64_t channels,
                        int64_t resolution) const;
  /// The dataset item, of `items`, whose label a generated sample takes.
  int64_t label_item(Phase phase, int64_t iteration, int64_t sample, int64_t items) const;
  /// Latents [n, z_dim] of the cells of the sample grid, equal in all iterations.
  at::Tensor grid_latents(int64_t first, int64_t count, int64_t z_dim) const;

 private:
  SampleRng rng_;
  at::TensorOptions options_;
};

}  // namespace galette
