// SPDX-License-Identifier: Apache-2.0
#include "io/legacy_random.h"

#include <bit>
#include <cmath>

namespace galette::io {

uint32_t LegacyRandom::up_to(uint32_t max) {
  if (max == 0) return 0;
  const uint32_t mask = ~uint32_t{0} >> std::countl_zero(max);
  for (;;) {
    const uint32_t value = bits() & mask;
    if (value <= max) return value;
  }
}

double LegacyRandom::uniform() {
  const uint32_t high = bits() >> 5;
  const uint32_t low = bits() >> 6;
  return (high * 0x1p26 + low) * 0x1p-53;
}

double LegacyRandom::normal() {
  if (next_normal_) return *std::exchange(next_normal_, std::nullopt);
  double x1 = 0, x2 = 0, square = 0;
  do {
    x1 = 2 * uniform() - 1;
    x2 = 2 * uniform() - 1;
    square = x1 * x1 + x2 * x2;
  } while (square >= 1 || square == 0);
  const double factor = std::sqrt(-2 * std::log(square) / square);
  next_normal_ = factor * x1;
  return factor * x2;
}

}  // namespace galette::io
