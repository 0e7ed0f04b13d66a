// SPDX-License-Identifier: Apache-2.0
// CPU bodies of demodulation.
#include <algorithm>
#include <vector>

#include "kernels/demodulation_math.h"
#include "kernels/style_sums.h"

namespace galette {
namespace {

template <typename T>
struct Point {
  const DemodulationCall& call;
  const T *w, *s, *energy, *d;
  T spread;
  Point(const DemodulationCall& c, const DemodulationPoint& p)
      : call(c),
        w(static_cast<const T*>(p.w)),
        s(static_cast<const T*>(p.s)),
        energy(static_cast<const T*>(p.energy)),
        d(static_cast<const T*>(p.d)),
        spread(static_cast<T>(spread_factor(c))) {}
  int64_t row_size() const { return call.in * call.taps; }
};

/// Adds spread times the sum of a row to each of its elements.
template <typename T>
GALETTE_FORCE_INLINE inline void spread_row(T* row, int64_t n, T spread) {
  if (spread == 0) return;
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += row[i];
  sum *= spread;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) row[i] += sum;
}

/// The sum of products over the taps of each input: out[i] = sum of a b over i's taps.
template <typename T>
GALETTE_FORCE_INLINE inline void sum_taps(const T* a, const T* b, T* out, int64_t in,
                                          int64_t taps) {
  for (int64_t i = 0; i < in; ++i) {
    T sum = 0;
    for (int64_t k = i * taps; k < (i + 1) * taps; ++k) sum += a[k] * b[k];
    out[i] = sum;
  }
}

template <typename T>
void forward(const DemodulationCall& call, const T* w, const T* s, T* energy, T* d) {
  const auto spread = static_cast<T>(spread_factor(call));
  const int64_t in = call.in, row_size = in * call.taps;
  const int64_t grain = std::max<int64_t>(1, kStyleGrain / (call.samples * in + row_size));
  at::parallel_for(0, call.out, grain, [&](int64_t begin, int64_t end) {
    run_vectorised([&]() GALETTE_FORCE_INLINE {
      for (int64_t o = begin; o < end; ++o) {
        T* const e = energy + o * in;
        sum_taps(w + o * row_size, w + o * row_size, e, in, call.taps);
        spread_row(e, in, spread);
        for (int64_t n = 0; n < call.samples; ++n) {
          const T* const style = s + n * in;
          T sum = 0;
#pragma omp simd reduction(+ : sum)
          for (int64_t i = 0; i < in; ++i) sum += style[i] * style[i] * e[i];
          d[n * call.out + o] = demodulation_factor(sum, call.relative);
        }
      }
    });
  });
}

/// One output's share of the gradient. `f` has room for a row of F.
template <typename T>
GALETTE_FORCE_INLINE inline void gradient_output(const Point<T>& x, int64_t o, const T* g, T* dw,
                                                 T* ds, T* f) {
  const int64_t in = x.call.in, taps = x.call.taps;
  const T* const e = x.energy + o * in;
  std::fill(f, f + in, T(0));
  for (int64_t n = 0; n < x.call.samples; ++n) {
    const int64_t row = n * x.call.out + o;
    const T z = demodulation_slope(g[row], x.d[row]);
    const T* const s = x.s + n * in;
    T* const sum = ds + n * in;
#pragma omp simd
    for (int64_t i = 0; i < in; ++i) {
      f[i] += z * s[i] * s[i];
      sum[i] += z * s[i] * e[i];
    }
  }
  if (dw == nullptr) return;
  spread_row(f, in, x.spread);
  const T* const w = x.w + o * in * taps;
  T* const to = dw + o * in * taps;
  for (int64_t i = 0; i < in; ++i)
    for (int64_t k = i * taps; k < (i + 1) * taps; ++k) to[k] = w[k] * f[i];
}

/// The cotangents of the gradient, a of dw (or null) and b of ds, and the results for them.
template <typename T>
struct Curvature {
  const T *g, *a, *b;
  T *e_g, *e_w;
};

/// One output's share of the curvature; its sums over outputs go to `e_s`. `rows` has room for rows
/// of F, G and H.
template <typename T>
GALETTE_FORCE_INLINE inline void curvature_output(const Point<T>& x, const Curvature<T>& c,
                                                  int64_t o, T* e_s, T* rows) {
  const int64_t in = x.call.in, taps = x.call.taps;
  T *const f = rows, *const bend = rows + in, *const h = rows + 2 * in;
  std::fill(rows, rows + 3 * in, T(0));
  const T *const e = x.energy + o * in, *const w = x.w + o * in * taps;
  if (c.a != nullptr) {
    sum_taps(w, c.a + o * in * taps, h, in, taps);
    spread_row(h, in, x.spread);
  }
  for (int64_t n = 0; n < x.call.samples; ++n) {
    const int64_t row = n * x.call.out + o;
    const T *const s = x.s + n * in, *const b = c.b + n * in;
    T m = 0;
#pragma omp simd reduction(+ : m)
    for (int64_t i = 0; i < in; ++i) m += s[i] * (s[i] * h[i] + b[i] * e[i]);
    const T d = x.d[row], z = demodulation_slope(c.g[row], d),
            v = demodulation_bend(c.g[row], d, m);
    c.e_g[row] = demodulation_slope(m, d);
    T* const to_s = e_s + n * in;
#pragma omp simd
    for (int64_t i = 0; i < in; ++i) {
      f[i] += z * s[i] * s[i];
      bend[i] += s[i] * (v * s[i] + z * b[i]);
      to_s[i] += 2 * s[i] * (v * e[i] + z * h[i]) + z * b[i] * e[i];
    }
  }
  spread_row(f, in, x.spread);
  spread_row(bend, in, x.spread);
  for (int64_t i = 0; i < in; ++i) {
    for (int64_t k = i * taps; k < (i + 1) * taps; ++k) {
      const int64_t at = o * in * taps + k;
      c.e_w[at] = 2 * w[k] * bend[i] + (c.a == nullptr ? T(0) : c.a[at] * f[i]);
    }
  }
}

}  // namespace

void demodulation_forward_cpu(const DemodulationCall& call, const void* w, const void* s,
                              void* energy, void* d) {
  with_real_type(call.type, [&](auto zero) {
    using T = decltype(zero);
    forward(call, static_cast<const T*>(w), static_cast<const T*>(s), static_cast<T*>(energy),
            static_cast<T*>(d));
  });
}

void demodulation_gradient_cpu(const DemodulationCall& call, const DemodulationPoint& point,
                               const void* g, void* dw, void* ds) {
  with_real_type(call.type, [&](auto zero) {
    using T = decltype(zero);
    const Point<T> x(call, point);
    const int64_t size = call.samples * call.in;
    for_outputs_with_style_sums(call.out, size, size + x.row_size(), static_cast<T*>(ds),
                                [&](int64_t o, T* sums) GALETTE_FORCE_INLINE {
                                  std::vector<T> f(static_cast<size_t>(call.in));
                                  gradient_output(x, o, static_cast<const T*>(g),
                                                  static_cast<T*>(dw), sums, f.data());
                                });
  });
}

void demodulation_curvature_cpu(const DemodulationCall& call, const DemodulationPoint& point,
                                const void* g, const void* to_dw, const void* to_ds, void* e_g,
                                void* e_w, void* e_s) {
  with_real_type(call.type, [&](auto zero) {
    using T = decltype(zero);
    const Point<T> x(call, point);
    const Curvature<T> c{static_cast<const T*>(g), static_cast<const T*>(to_dw),
                         static_cast<const T*>(to_ds), static_cast<T*>(e_g), static_cast<T*>(e_w)};
    const int64_t size = call.samples * call.in;
    for_outputs_with_style_sums(call.out, size, size + x.row_size(), static_cast<T*>(e_s),
                                [&](int64_t o, T* sums) GALETTE_FORCE_INLINE {
                                  std::vector<T> rows(static_cast<size_t>(3 * call.in));
                                  curvature_output(x, c, o, sums, rows.data());
                                });
  });
}

}  // namespace galette
