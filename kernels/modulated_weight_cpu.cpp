// SPDX-License-Identifier: Apache-2.0
// CPU bodies of modulated_weight.
#include <algorithm>
#include <vector>

#include "kernels/modulated_weight_math.h"
#include "kernels/style_sums.h"

namespace galette {
namespace {

/// The point in the type of the arithmetic.
template <typename T>
struct Rows {
  const ModulatedWeightCall& call;
  const T* w;
  const T* s;
  const T* d;
  Rows(const ModulatedWeightCall& c, const ModulatedWeightPoint& point)
      : call(c),
        w(static_cast<const T*>(point.w)),
        s(static_cast<const T*>(point.s)),
        d(c.demodulate ? static_cast<const T*>(point.d) : nullptr) {}

  int64_t row(int64_t n, int64_t o) const { return n * call.out + o; }
  const T* demodulation(int64_t n, int64_t o) const {
    return d == nullptr ? nullptr : d + row(n, o);
  }
};

template <typename T>
GALETTE_FORCE_INLINE inline void forward_row(const T* w, const T* s, T* y, T* d, T gain,
                                             int64_t in) {
  T scale = gain;
  if (d != nullptr) {
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < in; ++i) sum += (w[i] * s[i]) * (w[i] * s[i]);
    *d = demodulation_factor(sum, false);
    scale *= *d;
  }
#pragma omp simd
  for (int64_t i = 0; i < in; ++i) y[i] = w[i] * s[i] * scale;
}

template <typename T>
GALETTE_FORCE_INLINE inline void gradient_row(const T* w, const T* s, const T* d, const T* dy,
                                              T* dw, T* ds, T gain, int64_t in) {
  RowSums<T> sums;
  if (d != nullptr) {
    T t = 0;
#pragma omp simd reduction(+ : t)
    for (int64_t i = 0; i < in; ++i) t += gain * dy[i] * (w[i] * s[i]);
    sums.t = t;
  }
  const RowFactors<T> f(d, sums);
  if (dw == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < in; ++i) ds[i] += f.slope(gain * dy[i], w[i] * s[i]) * w[i];
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < in; ++i) {
    const T q = f.slope(gain * dy[i], w[i] * s[i]);
    ds[i] += q * w[i];
    dw[i] += q * s[i];
  }
}

/// A row's arguments and results of the second derivative: a of dw, b of ds.
template <typename T>
struct CurvatureRow {
  const T *w, *s, *d, *dy, *a, *b;
  T *e_dy, *e_w, *e_s;
};

template <typename T>
GALETTE_FORCE_INLINE inline void curvature_row(const CurvatureRow<T>& x, T gain, int64_t in) {
  RowSums<T> sums;
  if (x.d != nullptr) {
    T t = 0, r = 0, e = 0;
#pragma omp simd reduction(+ : t, r, e)
    for (int64_t i = 0; i < in; ++i) {
      const T u = x.w[i] * x.s[i], p = x.a[i] * x.s[i] + x.b[i] * x.w[i], g = gain * x.dy[i];
      t += g * u;
      r += u * p;
      e += g * p;
    }
    sums = {t, r, e};
  }
  const RowFactors<T> f(x.d, sums);
#pragma omp simd
  for (int64_t i = 0; i < in; ++i) {
    const T w = x.w[i], s = x.s[i], a = x.a[i], b = x.b[i], g = gain * x.dy[i];
    const T u = w * s, p = a * s + b * w;
    const T q = f.slope(g, u), h = f.curvature(g, u, p);
    x.e_dy[i] = gain * f.slope_by_g(p, u);
    x.e_w[i] += h * s + q * b;
    x.e_s[i] += h * w + q * a;
  }
}

template <typename T>
void forward(const ModulatedWeightCall& call, const T* w, const T* s, T* y, T* d) {
  const auto gain = static_cast<T>(call.gain);
  const int64_t in = call.in;
  const int64_t grain = std::max<int64_t>(1, kStyleGrain / (call.samples * in));
  at::parallel_for(0, call.out, grain, [&](int64_t begin, int64_t end) {
    run_vectorised([&]() GALETTE_FORCE_INLINE {
      for (int64_t o = begin; o < end; ++o) {
        for (int64_t n = 0; n < call.samples; ++n) {
          const int64_t row = n * call.out + o;
          forward_row(w + o * in, s + n * in, y + row * in, d == nullptr ? d : d + row, gain, in);
        }
      }
    });
  });
}

template <typename T>
void gradient(const Rows<T>& x, const T* dy, T* dw, T* ds) {
  const auto gain = static_cast<T>(x.call.gain);
  const int64_t in = x.call.in, samples = x.call.samples, size = samples * in;
  if (dw != nullptr) std::fill(dw, dw + x.call.out * in, T(0));
  for_outputs_with_style_sums(
      x.call.out, size, size, ds, [&](int64_t o, T* sums) GALETTE_FORCE_INLINE {
        for (int64_t n = 0; n < samples; ++n)
          gradient_row(x.w + o * in, x.s + n * in, x.demodulation(n, o), dy + x.row(n, o) * in,
                       dw == nullptr ? dw : dw + o * in, sums + n * in, gain, in);
      });
}

template <typename T>
void curvature(const Rows<T>& x, const T* dy, const T* to_dw, const T* to_ds, T* e_dy, T* e_w,
               T* e_s) {
  const auto gain = static_cast<T>(x.call.gain);
  const int64_t in = x.call.in, samples = x.call.samples, size = samples * in;
  const std::vector<T> none(static_cast<size_t>(to_dw == nullptr ? in : 0));
  std::fill(e_w, e_w + x.call.out * in, T(0));
  for_outputs_with_style_sums(
      x.call.out, size, size, e_s, [&](int64_t o, T* sums) GALETTE_FORCE_INLINE {
        for (int64_t n = 0; n < samples; ++n) {
          const int64_t at = x.row(n, o) * in;
          curvature_row<T>({x.w + o * in, x.s + n * in, x.demodulation(n, o), dy + at,
                            to_dw == nullptr ? none.data() : to_dw + o * in, to_ds + n * in,
                            e_dy + at, e_w + o * in, sums + n * in},
                           gain, in);
        }
      });
}

}  // namespace

void modulated_weight_forward_cpu(const ModulatedWeightCall& call, const void* w, const void* s,
                                  void* y, void* d) {
  with_real_type(call.type, [&](auto zero) {
    using T = decltype(zero);
    forward(call, static_cast<const T*>(w), static_cast<const T*>(s), static_cast<T*>(y),
            call.demodulate ? static_cast<T*>(d) : nullptr);
  });
}

void modulated_weight_gradient_cpu(const ModulatedWeightCall& call,
                                   const ModulatedWeightPoint& point, const void* dy, void* dw,
                                   void* ds) {
  with_real_type(call.type, [&](auto zero) {
    using T = decltype(zero);
    gradient(Rows<T>(call, point), static_cast<const T*>(dy), static_cast<T*>(dw),
             static_cast<T*>(ds));
  });
}

void modulated_weight_curvature_cpu(const ModulatedWeightCall& call,
                                    const ModulatedWeightPoint& point, const void* dy,
                                    const void* to_dw, const void* to_ds, void* e_dy, void* e_w,
                                    void* e_s) {
  with_real_type(call.type, [&](auto zero) {
    using T = decltype(zero);
    curvature(Rows<T>(call, point), static_cast<const T*>(dy), static_cast<const T*>(to_dw),
              static_cast<const T*>(to_ds), static_cast<T*>(e_dy), static_cast<T*>(e_w),
              static_cast<T*>(e_s));
  });
}

}  // namespace galette
