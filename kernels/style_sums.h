// SPDX-License-Identifier: Apache-2.0
// Loops over the outputs of a modulated layer on the CPU, with sums over outputs for each style.
// Outputs are shared out to threads in parts of a fixed size, each with its own sums, which are
// added up in order: bits do not depend on the threads.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/cpu_isa.h"
#include "kernels/threads.h"

namespace galette {

constexpr int64_t kOutputsOfPart = 32;
constexpr int64_t kStyleGrain = 32768;  // elements below which a thread is not worth waking

/// Calls f(o, sums) for every output, where sums [N, I] = `size` elements are added up over all of
/// them, and puts those into `total`. `work` is what an output costs, in elements.
template <typename T, class F>
void for_outputs_with_style_sums(int64_t outputs, int64_t size, int64_t work, T* total,
                                 const F& f) {
  const int64_t parts = (outputs + kOutputsOfPart - 1) / kOutputsOfPart;
  std::vector<T> sums(static_cast<size_t>(parts * size));
  const int64_t grain = std::max<int64_t>(1, kStyleGrain / (kOutputsOfPart * work));
  at::parallel_for(0, parts, grain, [&](int64_t begin, int64_t end) {
    run_vectorised([&]() GALETTE_FORCE_INLINE {
      for (int64_t part = begin; part < end; ++part) {
        const int64_t last = std::min(outputs, (part + 1) * kOutputsOfPart);
        for (int64_t o = part * kOutputsOfPart; o < last; ++o) f(o, sums.data() + part * size);
      }
    });
  });
  at::parallel_for(0, size, kStyleGrain, [&](int64_t begin, int64_t end) {
    std::copy(sums.data() + begin, sums.data() + end, total + begin);
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t i = begin; i < end; ++i) total[i] += sums[static_cast<size_t>(part * size + i)];
  });
}

}  // namespace galette
