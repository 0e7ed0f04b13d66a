// SPDX-License-Identifier: Apache-2.0
// The latents of numbered images. Seed s stands for the z_dim standard normals that NumPy's
// RandomState(s).randn gives, so that published seeds show published pictures.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "io/legacy_random.h"
#include "models/network.h"

namespace galette {

/// The next `count` standard normals of a generator: float64 [1, count].
at::Tensor draw_normals(io::LegacyRandom& random, int64_t count);

/// One-hot [1, c_dim] of a class; InputError without one when the network is conditional, or when
/// there is no such class; ignored with a warning by other networks.
at::Tensor make_label(const Generator& g, const std::optional<int64_t>& class_index);

/// One seed, or two: between them, or one with some layers of the other.
struct Latent {
  uint32_t seed = 0;
  uint32_t other = 0;
  double amount = 0;             ///< of the other seed, linear in w
  std::vector<uint32_t> layers;  ///< indices of ws that come from the other seed
};

class LatentSource {
 public:
  /// `class_index`: the class to show, see make_label. `psi`: truncation of all layers.
  LatentSource(const Generator& g, const std::optional<int64_t>& class_index, double psi);
  /// Given ones, [n, num_ws, w_dim]; a seed is the number of one.
  LatentSource(const Generator& g, at::Tensor given) : g_(g), given_(std::move(given)) {}

  /// [1, num_ws, w_dim].
  at::Tensor ws(const Latent& latent) const;

 private:
  at::Tensor ws_of_seed(uint32_t seed) const;

  const Generator& g_;
  at::Tensor label_;  ///< [1, c_dim], one-hot
  double psi_ = 1;
  at::Tensor given_;  ///< or undefined
};

}  // namespace galette
