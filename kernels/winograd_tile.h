// SPDX-License-Identifier: Apache-2.0
// Winograd's minimal filtering F(4x4, 3x3) for vectors of channels: a tile of 4 x 4 results is a
// sum over channels of products of 36 numbers where the definition takes 144. With d a tile of the
// input, g a filter and y a tile of the output,
//   y = A' ((G g G') * (B' d B)) A
// (A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, 2015), by evaluation at
// the points 0, 3/4, -3/4, 3/2, -3/2 and infinity: errors are a third of those with 1, -1, 2 and
// -2, some six times those of the definition. Each of these maps works on one axis at a time;
// `step` is the distance of its values, and its results go to `to` in the same manner.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/tile_product.h"

namespace galette {

constexpr int64_t kWinogradOut = 4;                               ///< results of a tile's side
constexpr int64_t kWinogradIn = kWinogradOut + 2;                 ///< values they depend on
constexpr int64_t kWinogradProducts = kWinogradIn * kWinogradIn;  ///< of a tile

template <int Bytes>
struct Winograd {
  using S = Simd<float, Bytes>;
  using Vector = typename S::Vector;

  template <int N>
  struct Line {
    Vector v[N];
    GALETTE_FORCE_INLINE Line(const float* from, int64_t step) {
#pragma GCC unroll 6
      for (int i = 0; i < N; ++i) S::load(v[i], from + i * step);
    }
    GALETTE_FORCE_INLINE const Vector& operator[](int i) const {
      return v[i];
    }
  };

  /// B': six inputs.
  GALETTE_FORCE_INLINE static void input(const float* from, int64_t step, float* to,
                                         int64_t to_step) {
    const Line<6> d(from, step);
    const Vector even = d[4] - kB2 * d[2], odd = kA * (d[3] - kB2 * d[1]);
    const Vector even2 = d[4] - kA2 * d[2], odd2 = kB * (d[3] - kA2 * d[1]);
    S::store(to, kA2 * kB2 * d[0] - (kA2 + kB2) * d[2] + d[4]);
    S::store(to + to_step, even + odd);
    S::store(to + 2 * to_step, even - odd);
    S::store(to + 3 * to_step, even2 + odd2);
    S::store(to + 4 * to_step, even2 - odd2);
    S::store(to + 5 * to_step, kA2 * kB2 * d[1] - (kA2 + kB2) * d[3] + d[5]);
  }

  /// A': four outputs of six sums.
  GALETTE_FORCE_INLINE static void output(const float* from, int64_t step, float* to,
                                          int64_t to_step) {
    const Line<6> m(from, step);
    const Vector sum = m[1] + m[2], difference = m[1] - m[2];
    const Vector sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    S::store(to, m[0] + sum + sum2);
    S::store(to + to_step, kA * difference + kB * difference2);
    S::store(to + 2 * to_step, kA2 * sum + kB2 * sum2);
    S::store(to + 3 * to_step, kA * kA2 * difference + kB * kB2 * difference2 + m[5]);
  }

  /// A: what `output` is the transpose of.
  GALETTE_FORCE_INLINE static void output_gradient(const float* from, int64_t step, float* to,
                                                   int64_t to_step) {
    const Line<4> y(from, step);
    const Vector even = y[0] + kA2 * y[2], odd = kA * (y[1] + kA2 * y[3]);
    const Vector even2 = y[0] + kB2 * y[2], odd2 = kB * (y[1] + kB2 * y[3]);
    S::store(to, y[0]);
    S::store(to + to_step, even + odd);
    S::store(to + 2 * to_step, even - odd);
    S::store(to + 3 * to_step, even2 + odd2);
    S::store(to + 4 * to_step, even2 - odd2);
    S::store(to + 5 * to_step, y[3]);
  }

  /// G: six numbers of three taps.
  GALETTE_FORCE_INLINE static void filter(const float* from, int64_t step, float* to,
                                          int64_t to_step) {
    const Line<3> g(from, step);
    const Vector ends = (g[0] + kA2 * g[2]) * kNormA, middle = g[1] * (kA * kNormA);
    const Vector ends2 = (g[0] + kB2 * g[2]) * kNormB, middle2 = g[1] * (kB * kNormB);
    S::store(to, g[0] * kNorm0);
    S::store(to + to_step, ends + middle);
    S::store(to + 2 * to_step, ends - middle);
    S::store(to + 3 * to_step, ends2 + middle2);
    S::store(to + 4 * to_step, ends2 - middle2);
    S::store(to + 5 * to_step, g[2]);
  }

  /// G': what `filter` is the transpose of.
  GALETTE_FORCE_INLINE static void filter_gradient(const float* from, int64_t step, float* to,
                                                   int64_t to_step) {
    const Line<6> u(from, step);
    const Vector sum = (u[1] + u[2]) * kNormA, sum2 = (u[3] + u[4]) * kNormB;
    S::store(to, u[0] * kNorm0 + sum + sum2);
    S::store(to + to_step, (u[1] - u[2]) * (kA * kNormA) + (u[3] - u[4]) * (kB * kNormB));
    S::store(to + 2 * to_step, kA2 * sum + kB2 * sum2 + u[5]);
  }

 private:
  static constexpr float kA = 0.75F, kB = 1.5F, kA2 = kA * kA, kB2 = kB * kB;
  /// One over the product of a point's distances to the other finite ones.
  static constexpr float kNorm0 = 1 / (kA2 * kB2);
  static constexpr float kNormA = 1 / (2 * kA2 * (kA2 - kB2));
  static constexpr float kNormB = 1 / (2 * kB2 * (kB2 - kA2));
};

// --- Between planes of channels and vectors of channels ---

template <class Vector, int... I>
GALETTE_FORCE_INLINE inline void interleave(const Vector& a, const Vector& b, Vector& low,
                                            Vector& high, std::integer_sequence<int, I...>) {
  constexpr int kLanes = sizeof...(I);
  low = __builtin_shufflevector(a, b, (I / 2 + I % 2 * kLanes)...);
  high = __builtin_shufflevector(a, b, (kLanes / 2 + I / 2 + I % 2 * kLanes)...);
}

/// Transposes a square of numbers, a vector a row: each round interleaves the rows of the upper
/// half with those of the lower.
template <int Bytes>
GALETTE_FORCE_INLINE inline void transpose(typename Simd<float, Bytes>::Vector* rows) {
  using Vector = typename Simd<float, Bytes>::Vector;
  constexpr int kLanes = Simd<float, Bytes>::kLanes;
#pragma GCC unroll 4
  for (int done = 1; done < kLanes; done *= 2) {
    Vector next[kLanes];
#pragma GCC unroll 8
    for (int i = 0; i < kLanes / 2; ++i)
      interleave(rows[i], rows[i + kLanes / 2], next[2 * i], next[2 * i + 1],
                 std::make_integer_sequence<int, kLanes>());
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) rows[i] = next[i];
  }
}

}  // namespace galette
