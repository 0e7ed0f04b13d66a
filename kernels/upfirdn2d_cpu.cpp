// SPDX-License-Identifier: Apache-2.0
// CPU bodies of upfirdn2d, threaded over rows or planes, by the row filter of fir_plan.h. A
// separable filter makes each row of results in two steps that stay in the cache: the weighted sum
// of the rows of x that it meets, then the filter along the row. A filter of higher rank sums over
// the taps of both axes at once, from a copy of the plane in lines.
#include <ATen/Parallel.h>

#include "kernels/fir_plan.h"

namespace galette {
namespace {

constexpr int64_t kGrain = 16384;  // results below which a thread is not worth waking

/// Splits samples [begin, end) of a row into lines; the zeros around them are already there.
template <typename T>
GALETTE_FORCE_INLINE inline void split_lines(const FirPlan& plan, const T* row, T* lines) {
  const int64_t down = plan.axis.down;
  for (int64_t r = 0; r < down; ++r) {
    const int64_t j0 = floor_div(plan.begin - r + down - 1, down);
    const int64_t n = floor_div(plan.end - r + down - 1, down) - j0;
    const T* const source = row + j0 * down + r;
    T* const line = lines + r * plan.line_length + j0 - plan.first;
    if (down == 1) {
      std::copy(source, source + n, line);
    } else if (down == 2) {
#pragma omp simd
      for (int64_t j = 0; j < n; ++j) line[j] = source[2 * j];
    } else {
      for (int64_t j = 0; j < n; ++j) line[j] = source[j * down];
    }
  }
}

/// Merges the phases, `stride` apart, into a row of n results.
template <typename T>
GALETTE_FORCE_INLINE inline void merge_phases(const T* phases, int64_t stride, int64_t up, T* out,
                                              int64_t n) {
  if (up == 2) {
    const T* const odd = phases + stride;
    const int64_t pairs = n / 2;
#pragma omp simd
    for (int64_t i = 0; i < pairs; ++i) {
      out[2 * i] = phases[i];
      out[2 * i + 1] = odd[i];
    }
    if (n % 2 == 1) out[n - 1] = phases[pairs];
    return;
  }
  for (int64_t a = 0; a < up; ++a)
    for (int64_t i = a, j = 0; i < n; i += up, ++j) out[i] = phases[a * stride + j];
}

/// The pieces of lines and weights that one phase sums.
template <typename T>
struct Terms {
  std::vector<const T*> sources;
  std::vector<T> weights;
  explicit Terms(int64_t most) : sources(most), weights(most) {}
};

/// Scratch of one thread.
template <typename T>
struct Scratch {
  std::vector<T> lines, row, phases;
  Terms<T> terms;
  Scratch(const FirPlan& plan, int64_t rows, int64_t most_terms)
      : lines(plan.row_length() * rows, T(0)),
        row(plan.axis.in),
        phases(plan.axis.up > 1 ? plan.axis.up * plan.count(0) : 0),
        terms(most_terms) {}
};

/// One row of results: for each phase, collect(phase) fills s.terms and returns their number.
template <typename T, class Collect>
GALETTE_FORCE_INLINE inline void filter_row(const FirPlan& plan, Scratch<T>& s, T* out,
                                            const Collect& collect) {
  const int64_t up = plan.axis.up, stride = plan.count(0);
  for (int64_t a = 0; a < up; ++a) {
    const int64_t terms = collect(a);
    T* const phase = up == 1 ? out : s.phases.data() + a * stride;
    weighted_sum(phase, s.terms.sources.data(), s.terms.weights.data(), terms,
                 std::max<int64_t>(0, plan.count(a)));
  }
  if (up > 1) merge_phases(s.phases.data(), stride, up, out, plan.axis.out);
}

/// Calls meet(k, n) for the taps k and samples n of axis `a` that result q meets.
template <class Meet>
GALETTE_FORCE_INLINE inline void for_each_sample(const UpFirDnAxis& a, int64_t q,
                                                 const Meet& meet) {
  const int64_t position = q * a.down - a.pad;
  for (int64_t k = floor_mod(-position, a.up); k < a.taps; k += a.up) {
    const int64_t n = (position + k) / a.up;
    if (n >= 0 && n < a.in) meet(k, n);
  }
}

template <typename T>
class Separable {
 public:
  Separable(const UpFirDnCall& call, const double* taps_x, const double* taps_y)
      : call_(call),
        plan_(call.x),
        taps_x_(taps_x, taps_x + call.x.taps),
        taps_y_(taps_y, taps_y + call.y.taps) {}

  void run(const T* x, T* y) const {
    const int64_t rows = call_.planes * call_.y.out;
    const int64_t most = std::max(call_.x.taps, call_.y.taps);
    at::parallel_for(0, rows, std::max<int64_t>(1, kGrain / call_.x.out),
                     [&](int64_t begin, int64_t end) {
                       Scratch<T> s(plan_, 1, most);
                       run_vectorised([&]() GALETTE_FORCE_INLINE {
                         for (int64_t row = begin; row < end; ++row) make_row(s, row, x, y);
                       });
                     });
  }

 private:
  GALETTE_FORCE_INLINE void make_row(Scratch<T>& s, int64_t row, const T* x, T* y) const {
    sum_rows(s, row % call_.y.out, x + row / call_.y.out * call_.y.in * call_.x.in);
    filter_row(plan_, s, y + row * call_.x.out, [&](int64_t phase) GALETTE_FORCE_INLINE {
      int64_t terms = 0;
      for (const FirTap& tap : plan_.phases[phase]) {
        s.terms.sources[terms] = s.lines.data() + tap.line * plan_.line_length + tap.offset;
        s.terms.weights[terms++] = taps_x_[tap.index];
      }
      return terms;
    });
  }

  /// The weighted sum of the rows of the plane that row q of the results meets, into s.lines.
  GALETTE_FORCE_INLINE void sum_rows(Scratch<T>& s, int64_t q, const T* plane) const {
    int64_t terms = 0;
    for_each_sample(call_.y, q, [&](int64_t k, int64_t n) GALETTE_FORCE_INLINE {
      s.terms.sources[terms] = plane + n * call_.x.in + plan_.begin;
      s.terms.weights[terms++] = taps_y_[k];
    });
    const bool direct = plan_.axis.down == 1;
    T* const sum =
        direct ? s.lines.data() + (plan_.begin - plan_.first) : s.row.data() + plan_.begin;
    weighted_sum(sum, s.terms.sources.data(), s.terms.weights.data(), terms,
                 plan_.end - plan_.begin);
    if (!direct) split_lines(plan_, s.row.data(), s.lines.data());
  }

  UpFirDnCall call_;
  FirPlan plan_;
  std::vector<T> taps_x_, taps_y_;
};

template <typename T>
class Full {
 public:
  Full(const UpFirDnCall& call, const double* taps)
      : call_(call), plan_(call.x), taps_(taps, taps + call.x.taps * call.y.taps) {}

  void run(const T* x, T* y) const {
    const int64_t grain = std::max<int64_t>(1, kGrain / (call_.x.out * call_.y.out));
    at::parallel_for(0, call_.planes, grain, [&](int64_t begin, int64_t end) {
      Scratch<T> s(plan_, call_.y.in, call_.x.taps * call_.y.taps);
      run_vectorised([&]() GALETTE_FORCE_INLINE {
        for (int64_t plane = begin; plane < end; ++plane)
          make_plane(s, x + plane * call_.y.in * call_.x.in, y + plane * call_.y.out * call_.x.out);
      });
    });
  }

 private:
  GALETTE_FORCE_INLINE void make_plane(Scratch<T>& s, const T* x, T* y) const {
    for (int64_t n = 0; n < call_.y.in; ++n)
      split_lines(plan_, x + n * call_.x.in, s.lines.data() + n * plan_.row_length());
    for (int64_t q = 0; q < call_.y.out; ++q)
      filter_row(plan_, s, y + q * call_.x.out,
                 [&](int64_t phase) GALETTE_FORCE_INLINE { return collect(s, q, phase); });
  }

  GALETTE_FORCE_INLINE int64_t collect(Scratch<T>& s, int64_t q, int64_t phase) const {
    int64_t terms = 0;
    for_each_sample(call_.y, q, [&](int64_t k, int64_t n) GALETTE_FORCE_INLINE {
      const T* const lines = s.lines.data() + n * plan_.row_length();
      for (const FirTap& tap : plan_.phases[phase]) {
        s.terms.sources[terms] = lines + tap.line * plan_.line_length + tap.offset;
        s.terms.weights[terms++] = taps_[k * call_.x.taps + tap.index];
      }
    });
    return terms;
  }

  UpFirDnCall call_;
  FirPlan plan_;
  std::vector<T> taps_;
};

}  // namespace

void upfirdn2d_separable_cpu(const UpFirDnCall& call, const double* taps_x, const double* taps_y,
                             const void* x, void* y) {
  if (call.type == ElementType::kFloat64) {
    Separable<double>(call, taps_x, taps_y)
        .run(static_cast<const double*>(x), static_cast<double*>(y));
  } else {
    Separable<float>(call, taps_x, taps_y)
        .run(static_cast<const float*>(x), static_cast<float*>(y));
  }
}

void upfirdn2d_full_cpu(const UpFirDnCall& call, const double* taps, const void* x, void* y) {
  if (call.type == ElementType::kFloat64) {
    Full<double>(call, taps).run(static_cast<const double*>(x), static_cast<double*>(y));
  } else {
    Full<float>(call, taps).run(static_cast<const float*>(x), static_cast<float*>(y));
  }
}

}  // namespace galette
