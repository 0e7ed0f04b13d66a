// SPDX-License-Identifier: Apache-2.0
// The generator behind published subsets, orders and image seeds: the 32-bit Mersenne twister with
// the derived draws of NumPy's RandomState, bit for bit. New draws use base/sample_rng.h instead.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <utility>

namespace galette::io {

class LegacyRandom {
 public:
  explicit LegacyRandom(uint32_t seed) : engine_(seed) {}

  uint32_t bits() { return static_cast<uint32_t>(engine_()); }
  /// Uniform in 0..max, both included: words under the smallest all-ones mask, larger ones refused.
  /// No word is drawn when max is 0.
  uint32_t up_to(uint32_t max);
  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform();
  /// Standard normal by the polar method, two at a time.
  double normal();

  /// Exchanges each element, from the last to the second, with one at or before it.
  template <typename T>
  void shuffle(std::span<T> values) {
    for (size_t i = values.size(); i-- > 1;) {
      std::swap(values[i], values[up_to(static_cast<uint32_t>(i))]);
    }
  }

 private:
  std::mt19937 engine_;
  std::optional<double> next_normal_;
};

}  // namespace galette::io
