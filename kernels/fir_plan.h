// SPDX-License-Identifier: Apache-2.0
// How one row is filtered on the CPU by contiguous, vectorised loops only, whatever the up-factor U
// and the down-factor D. Result q = U i + a (phase a) meets the samples n = D i + c_k of the taps k
// of its phase. The row is split into D lines, line r holding samples D j + r; so phase a is a
// weighted sum of pieces of lines, each starting at floor(c_k / D) of line c_k mod D. Lines are
// stored with zeros around the samples, which spares all tests of borders. Results may be split
// further than U asks for, into U s phases; the row then has D s lines.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/cpu_isa.h"
#include "kernels/upfirdn2d_math.h"

namespace galette {

struct FirTap {
  int64_t index;   ///< k
  int64_t line;    ///< c_k mod D
  int64_t offset;  ///< start in the stored line of result i = 0
};

struct FirPlan {
  UpFirDnAxis axis;
  int64_t split = 1;                        ///< s
  std::vector<std::vector<FirTap>> phases;  ///< taps of each of the U s phases
  int64_t line_length = 0;                  ///< stored elements of a line
  int64_t first = 0;                        ///< j of the first stored element
  int64_t begin = 0, end = 0;               ///< samples that any result meets

  explicit FirPlan(const UpFirDnAxis& a, int64_t split = 1);
  int64_t lines() const { return axis.down * split; }
  int64_t row_length() const { return line_length * lines(); }
  /// Results of phase a.
  int64_t count(int64_t a) const {
    return floor_div(axis.out - a + axis.up * split - 1, axis.up * split);
  }
};

/// The samples that one result of an axis meets: count of them from `sample` on, with the taps
/// tap, tap + up, ... The weights of these stand together in a table made by taps_by_phase.
struct FirMeeting {
  int64_t sample, count;
  int64_t tap;
  int64_t weight;  ///< index of the first weight in that table
};
std::vector<FirMeeting> fir_meetings(const UpFirDnAxis& axis);

/// Taps 0, up, 2 up, ..., then 1, up + 1, ...; each of the `up` groups filled up with zeros to the
/// length of the first.
std::vector<double> taps_by_phase(const UpFirDnAxis& axis, const double* taps);

/// sum + c[0] s[0][i] + c[1] s[1][i] + ...
template <typename T, int N>
struct FirTerms {
  const T* s[N];
  T c[N];
  GALETTE_FORCE_INLINE T at(int64_t i, T sum) const {
#pragma GCC unroll 8
    for (int k = 0; k < N; ++k) sum += c[k] * s[k][i];
    return sum;
  }
};

template <int N, typename T>
GALETTE_FORCE_INLINE inline void add_terms(T* out, const T* const* sources, const T* weights,
                                           int64_t n, bool first) {
  FirTerms<T, N> terms;
  for (int k = 0; k < N; ++k) {
    terms.s[k] = sources[k];
    terms.c[k] = weights[k];
  }
  if (first) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] = terms.at(i, T(0));
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] = terms.at(i, out[i]);
  }
}

/// out[i] = sum over k < terms of weights[k] sources[k][i], for i < n.
template <typename T>
GALETTE_FORCE_INLINE inline void weighted_sum(T* out, const T* const* sources, const T* weights,
                                              int64_t terms, int64_t n) {
  if (terms == 0) std::fill(out, out + n, T(0));
  for (int64_t k = 0; k < terms;) {
    const T* const* s = sources + k;
    const T* w = weights + k;
    const bool first = k == 0;
    switch (terms - k) {
      case 1:
        add_terms<1>(out, s, w, n, first);
        return;
      case 2:
        add_terms<2>(out, s, w, n, first);
        return;
      case 3:
        add_terms<3>(out, s, w, n, first);
        return;
      default:
        add_terms<4>(out, s, w, n, first);
        k += 4;
    }
  }
}

}  // namespace galette
