// SPDX-License-Identifier: Apache-2.0
// What one value adds to a tally, shared by the CPU and CUDA bodies, and the bodies.
#pragma once

#include <cstdint>

#include "kernels/element_type.h"
#include "kernels/host_device.h"

namespace galette {

enum class Tally { moments, scores, signs };

// Both add n > 0 contiguous values of `type` to `sums`; the CUDA body on the cudaStream_t `stream`.
void add_tally_cpu(ElementType type, Tally tally, const void* values, int64_t n, void* sums);
void add_tally_cuda(ElementType type, Tally tally, const void* values, int64_t n, void* sums,
                    void* stream);

GALETTE_HOST_DEVICE inline int sign_of(double value) {
  return (value > 0 ? 1 : 0) - (value < 0 ? 1 : 0);
}

struct MomentTally {
  using Number = double;
  static constexpr int kNumbers = 3;
  GALETTE_HOST_DEVICE static void add(Number* sums, double value) {
    sums[0] += 1;
    sums[1] += value;
    sums[2] += value * value;
  }
};

struct ScoreTally {
  using Number = double;
  static constexpr int kNumbers = 6;
  GALETTE_HOST_DEVICE static void add(Number* sums, double value) {
    MomentTally::add(sums, value);
    MomentTally::add(sums + MomentTally::kNumbers, sign_of(value));
  }
};

struct SignTally {
  using Number = int64_t;
  static constexpr int kNumbers = 4;
  GALETTE_HOST_DEVICE static void add(Number* sums, double value) {
    sums[0] += value > 0 ? 1 : 0;
    sums[1] += value < 0 ? 1 : 0;
    sums[2] += 1;
    sums[3] += value != value ? 1 : 0;
  }
};

/// Calls f(MomentTally()), or what else the tally is.
template <class F>
void with_tally(Tally tally, const F& f) {
  switch (tally) {
    case Tally::moments:
      return f(MomentTally());
    case Tally::scores:
      return f(ScoreTally());
    case Tally::signs:
      return f(SignTally());
  }
}

}  // namespace galette
