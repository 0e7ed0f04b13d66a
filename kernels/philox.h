// SPDX-License-Identifier: Apache-2.0
// Philox 4x32-10, the counter-based generator of Salmon et al. 2011 ("Parallel random numbers: as
// easy as 1, 2, 3"): a bijection of 128-bit counters under a 64-bit key. Host and device formula.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"

namespace galette {

struct PhiloxBlock {
  uint32_t x[4];
};

/// Ten rounds on counter (c0, c1, c2, c3) under key (k0, k1).
GALETTE_HOST_DEVICE inline PhiloxBlock philox4x32(uint32_t c0, uint32_t c1, uint32_t c2,
                                                  uint32_t c3, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0;
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// The counter words of a stream but the first two, which are those of a block of four values and
/// of a row; and the key.
struct PhiloxStream {
  uint32_t c2 = 0, c3 = 0;
  uint32_t k0 = 0, k1 = 0;
};

}  // namespace galette
