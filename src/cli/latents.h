// SPDX-License-Identifier: Apache-2.0
// The latents of numbered images. Seed s stands for the z_dim standard normals that NumPy's
// RandomState(s).randn gives, so that published seeds show published pictures.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "models/network.h"

namespace galette {

/// One seed, or two: between them, or one with some layers of the other.
struct Latent {
  uint32_t seed = 0;
  uint32_t other = 0;
  double amount = 0;             ///< of the other seed, linear in w
  std::vector<uint32_t> layers;  ///< indices of ws that come from the other seed
};

class LatentSource {
 public:
  /// `class_index`: the class to show; required for a conditional generator (InputError without
  /// one, or when there is no such class), ignored with a warning by others. `psi`: truncation of
  /// all layers.
  LatentSource(const Generator& g, const std::optional<int64_t>& class_index, double psi);

  /// [1, num_ws, w_dim].
  at::Tensor ws(const Latent& latent) const;

 private:
  at::Tensor ws_of_seed(uint32_t seed) const;

  const Generator& g_;
  at::Tensor label_;  ///< [1, c_dim], one-hot
  double psi_;
};

}  // namespace galette
