// SPDX-License-Identifier: Apache-2.0
// The inner loop of FIR filters on the CPU: a row of results as the weighted sum of pieces of rows
// of samples. Results are made in blocks of vectors that stay in registers over all terms.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu_isa.h"

namespace galette {

constexpr int64_t kVectorBytes = 32;

/// The terms of a result: row_count rows, from each of which offset_count samples are taken, at
/// `offsets` from the position of the result. weights [row_count, offset_count].
template <typename T>
struct RowTerms {
  const T* const* rows;
  int64_t row_count;
  const int64_t* offsets;
  int64_t offset_count;
  const T* weights;
};

/// B vectors of results from position i on.
template <int B, typename T>
GALETTE_FORCE_INLINE inline void sum_block(T* out, const RowTerms<T>& terms, T start, int64_t i) {
  // NOLINTNEXTLINE(modernize-use-using): a vector of a dependent type
  typedef T Vector __attribute__((vector_size(kVectorBytes)));
  constexpr int64_t kLanes = kVectorBytes / sizeof(T);
  Vector sum[B];
#pragma GCC unroll 8
  for (int b = 0; b < B; ++b) sum[b] = Vector{} + start;
  const T* weight = terms.weights;
  for (int64_t r = 0; r < terms.row_count; ++r) {
    const T* const row = terms.rows[r] + i;
    for (int64_t k = 0; k < terms.offset_count; ++k, ++weight) {
      const T* const piece = row + terms.offsets[k];
#pragma GCC unroll 8
      for (int b = 0; b < B; ++b) {
        Vector v;
        std::memcpy(&v, piece + b * kLanes, sizeof v);
        sum[b] += v * *weight;
      }
    }
  }
#pragma GCC unroll 8
  for (int b = 0; b < B; ++b) std::memcpy(out + i + b * kLanes, &sum[b], sizeof sum[b]);
}

template <typename T>
GALETTE_FORCE_INLINE inline T sum_one(const RowTerms<T>& terms, T start, int64_t i) {
  const T* weight = terms.weights;
  for (int64_t r = 0; r < terms.row_count; ++r)
    for (int64_t k = 0; k < terms.offset_count; ++k, ++weight)
      start += terms.rows[r][terms.offsets[k] + i] * *weight;
  return start;
}

/// out[i] = start + sum over r and k of weights[r, k] rows[r][offsets[k] + i], for i < n.
template <typename T>
GALETTE_FORCE_INLINE inline void row_sum(T* out, const RowTerms<T>& terms, T start, int64_t n) {
  constexpr int64_t kLanes = kVectorBytes / sizeof(T);
  int64_t i = 0;
  for (; i + 8 * kLanes <= n; i += 8 * kLanes) sum_block<8>(out, terms, start, i);
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) sum_block<4>(out, terms, start, i);
  // What is left is summed together with results that are there already.
  if (i + kLanes < n && n >= 4 * kLanes) {
    sum_block<4>(out, terms, start, n - 4 * kLanes);
    return;
  }
  for (; i + kLanes <= n; i += kLanes) sum_block<1>(out, terms, start, i);
  if (i < n && n >= kLanes) {
    sum_block<1>(out, terms, start, n - kLanes);
    return;
  }
  for (; i < n; ++i) out[i] = sum_one(terms, start, i);
}

}  // namespace galette
