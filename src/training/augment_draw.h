// SPDX-License-Identifier: Apache-2.0
// The parameters of augmentation of one image, in double precision on the host. Tables of
// transformations: Karras et al. 2020, "Training Generative Adversarial Networks with Limited
// Data", appendix B.
#pragma once

#include <array>
#include <vector>

#include "training/augment.h"

namespace galette {

template <size_t N>
using Square = std::array<std::array<double, N>, N>;

/// What one image draws of a source at strength p.
class AugmentDraws {
 public:
  AugmentDraws(const AugmentConfig& config, const AugmentSource& source, int64_t row, double p)
      : config_(config), source_(source), row_(row), p_(p) {}

  /// Homogeneous, in pixels from the centre, x to the right and y down: from a place in the result
  /// to the place in an image of `resolution` pixels.
  Square<3> geometry(int64_t resolution) const;
  /// Homogeneous, from a colour to its new value. Hue and saturation are for `channels` > 1.
  Square<4> colour(int64_t channels) const;
  /// Taps of a symmetric filter.
  std::vector<double> filter() const;
  double noise_deviation() const;
  /// Centre x, y, and size, in units of the image; size 0 for none.
  std::array<double, 3> cutout() const;

 private:
  bool on(AugmentStep step, double probability) const {
    return probability > 0 && source_.gate(step, row_) < probability;
  }
  double uniform(AugmentStep step, int64_t k = 0) const { return source_.uniform(step, row_, k); }
  double normal(AugmentStep step, int64_t k = 0) const { return source_.normal(step, row_, k); }
  /// An angle, uniform over the circle.
  double angle(AugmentStep step) const;

  const AugmentConfig& config_;
  const AugmentSource& source_;
  int64_t row_;
  double p_;
};

/// Taps of the four bands, lowest first, which sum to a unit impulse.
const std::array<std::vector<double>, 4>& filter_bands();

}  // namespace galette
