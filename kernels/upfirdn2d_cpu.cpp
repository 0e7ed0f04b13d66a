// SPDX-License-Identifier: Apache-2.0
// CPU bodies of upfirdn2d, threaded over rows or planes, by the row filter of fir_plan.h. A
// separable filter makes each row of results in two steps that stay in the cache: the weighted sum
// of the rows of x that it meets, then the filter along the row. A filter of higher rank sums over
// the taps of both axes at once, from a copy of the plane in lines. Where channels lie side by
// side, a result is a weighted sum of pixels, which are vectors.
#include "kernels/fir_plan.h"
#include "kernels/threads.h"

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

/// The pieces of lines and the weights that phases sum, one phase after the other.
template <typename T>
struct Terms {
  std::vector<const T*> sources;
  std::vector<T> weights;
};

/// One thread's means to filter rows.
template <typename T>
class RowFilter {
 public:
  explicit RowFilter(const FirPlan& plan)
      : plan_(plan),
        row_(plan.axis.down > 1 ? plan.axis.in : 0),
        phases_(plan.axis.up > 1 ? plan.axis.up * plan.count(0) : 0) {}

  /// Room for samples [plan.begin, plan.end) of a row; settle() then puts them into its lines.
  GALETTE_FORCE_INLINE T* samples(T* lines) {
    return plan_.axis.down > 1 ? row_.data() + plan_.begin : lines + (plan_.begin - plan_.first);
  }
  GALETTE_FORCE_INLINE void settle(T* lines) {
    if (plan_.axis.down > 1) split_lines(plan_, row_.data(), lines);
  }

  /// A row of results from `terms`, of which phase a takes counts[a].
  GALETTE_FORCE_INLINE void filter(const Terms<T>& terms, const std::vector<int64_t>& counts,
                                   T* out) {
    const int64_t up = plan_.axis.up, stride = plan_.count(0);
    const T* const* sources = terms.sources.data();
    const T* weights = terms.weights.data();
    for (int64_t a = 0; a < up; ++a) {
      weighted_sum(up == 1 ? out : phases_.data() + a * stride, sources, weights, counts[a],
                   std::max<int64_t>(0, plan_.count(a)));
      sources += counts[a];
      weights += counts[a];
    }
    if (up > 1) merge_phases(phases_.data(), stride, up, out, plan_.axis.out);
  }

 private:
  const FirPlan& plan_;
  std::vector<T> row_, phases_;
};

template <typename T>
class Separable {
 public:
  Separable(const UpFirDnCall& call, const double* taps_x, const double* taps_y)
      : call_(call),
        plan_(call.x),
        rows_(fir_meetings(call.y)),
        taps_x_(taps_x, taps_x + call.x.taps) {
    const std::vector<double> table = taps_by_phase(call.y, taps_y);
    taps_y_.assign(table.begin(), table.end());
    for (const auto& phase : plan_.phases) counts_.push_back(static_cast<int64_t>(phase.size()));
  }

  void run(const T* x, T* y) const {
    const int64_t grain = std::max<int64_t>(1, kGrain / call_.x.out);
    at::parallel_for(0, call_.planes * call_.y.out, grain, [&](int64_t begin, int64_t end) {
      std::vector<T> lines(plan_.row_length(), T(0));
      const Terms<T> terms = terms_in(lines.data());
      RowFilter<T> filter(plan_);
      std::vector<const T*> sources(call_.y.taps);
      run_vectorised([&]() GALETTE_FORCE_INLINE {
        int64_t plane = begin / call_.y.out, q = begin % call_.y.out;
        for (int64_t row = begin; row < end; ++row) {
          sum_rows(x + plane * call_.y.in * call_.x.in, rows_[q], sources,
                   filter.samples(lines.data()));
          filter.settle(lines.data());
          filter.filter(terms, counts_, y + row * call_.x.out);
          if (++q == call_.y.out) {
            q = 0;
            ++plane;
          }
        }
      });
    });
  }

 private:
  /// What the phases sum, which is the same for all rows that pass through `lines`.
  Terms<T> terms_in(const T* lines) const {
    Terms<T> terms;
    for (const auto& phase : plan_.phases) {
      for (const FirTap& tap : phase) {
        terms.sources.push_back(lines + tap.line * plan_.line_length + tap.offset);
        terms.weights.push_back(taps_x_[tap.index]);
      }
    }
    return terms;
  }

  /// The weighted sum of the rows of a plane that a row of results meets.
  GALETTE_FORCE_INLINE void sum_rows(const T* plane, const FirMeeting& rows,
                                     std::vector<const T*>& sources, T* sum) const {
    const T* const first = plane + rows.sample * call_.x.in + plan_.begin;
    for (int64_t i = 0; i < rows.count; ++i) sources[i] = first + i * call_.x.in;
    weighted_sum(sum, sources.data(), taps_y_.data() + rows.weight, rows.count,
                 plan_.end - plan_.begin);
  }

  UpFirDnCall call_;
  FirPlan plan_;
  std::vector<FirMeeting> rows_;
  std::vector<T> taps_x_, taps_y_;
  std::vector<int64_t> counts_;
};

template <typename T>
class Full {
 public:
  Full(const UpFirDnCall& call, const double* taps)
      : call_(call),
        plan_(call.x),
        rows_(fir_meetings(call.y)),
        taps_(taps, taps + call.x.taps * call.y.taps) {}

  void run(const T* x, T* y) const {
    const int64_t grain = std::max<int64_t>(1, kGrain / (call_.x.out * call_.y.out));
    at::parallel_for(0, call_.planes, grain, [&](int64_t begin, int64_t end) {
      std::vector<T> lines(plan_.row_length() * call_.y.in, T(0));
      const std::vector<RowTerms> terms = terms_in(lines.data());
      RowFilter<T> filter(plan_);
      run_vectorised([&]() GALETTE_FORCE_INLINE {
        for (int64_t plane = begin; plane < end; ++plane) {
          fill_lines(x + plane * call_.y.in * call_.x.in, lines.data());
          T* const out = y + plane * call_.y.out * call_.x.out;
          for (int64_t q = 0; q < call_.y.out; ++q)
            filter.filter(terms[q].terms, terms[q].counts, out + q * call_.x.out);
        }
      });
    });
  }

 private:
  struct RowTerms {
    Terms<T> terms;
    std::vector<int64_t> counts;
  };

  GALETTE_FORCE_INLINE void fill_lines(const T* plane, T* lines) const {
    for (int64_t n = 0; n < call_.y.in; ++n)
      split_lines(plan_, plane + n * call_.x.in, lines + n * plan_.row_length());
  }

  /// What the phases of each row of results sum, which is the same for all planes.
  std::vector<RowTerms> terms_in(const T* lines) const {
    std::vector<RowTerms> all(call_.y.out);
    for (int64_t q = 0; q < call_.y.out; ++q) {
      for (const auto& phase : plan_.phases) {
        add_phase(lines, rows_[q], phase, all[q].terms);
        all[q].counts.push_back(rows_[q].count * static_cast<int64_t>(phase.size()));
      }
    }
    return all;
  }

  void add_phase(const T* lines, const FirMeeting& rows, const std::vector<FirTap>& phase,
                 Terms<T>& terms) const {
    for (int64_t i = 0; i < rows.count; ++i) {
      const T* const row = lines + (rows.sample + i) * plan_.row_length();
      const T* const taps = taps_.data() + (rows.tap + i * call_.y.up) * call_.x.taps;
      for (const FirTap& tap : phase) {
        terms.sources.push_back(row + tap.line * plan_.line_length + tap.offset);
        terms.weights.push_back(taps[tap.index]);
      }
    }
  }

  UpFirDnCall call_;
  FirPlan plan_;
  std::vector<FirMeeting> rows_;
  std::vector<T> taps_;
};

/// Planes of pixels, each a vector of channels.
template <typename T>
class ChannelsLast {
 public:
  ChannelsLast(const UpFirDnCall& call, const double* taps)
      : call_(call),
        columns_(fir_meetings(call.x)),
        rows_(fir_meetings(call.y)),
        taps_(taps, taps + call.x.taps * call.y.taps) {}

  void run(const T* x, T* y) const {
    const int64_t row_length = call_.x.out * call_.channels;
    const int64_t grain = std::max<int64_t>(1, kGrain / row_length);
    at::parallel_for(0, call_.planes * call_.y.out, grain, [&](int64_t begin, int64_t end) {
      Terms<T> terms;
      terms.sources.resize(taps_.size());
      terms.weights.resize(taps_.size());
      run_vectorised([&]() GALETTE_FORCE_INLINE {
        for (int64_t row = begin; row < end; ++row) {
          const T* const image = x + row / call_.y.out * call_.y.in * call_.x.in * call_.channels;
          T* const out = y + row * row_length;
          for (int64_t q = 0; q < call_.x.out; ++q) {
            const int64_t count = collect(image, rows_[row % call_.y.out], columns_[q], terms);
            weighted_sum(out + q * call_.channels, terms.sources.data(), terms.weights.data(),
                         count, call_.channels);
          }
        }
      });
    });
  }

 private:
  /// The pixels that a result meets, with their taps; returns how many.
  GALETTE_FORCE_INLINE int64_t collect(const T* image, const FirMeeting& rows,
                                       const FirMeeting& columns, Terms<T>& terms) const {
    int64_t count = 0;
    for (int64_t i = 0; i < rows.count; ++i) {
      const T* pixel = image + ((rows.sample + i) * call_.x.in + columns.sample) * call_.channels;
      const T* tap = taps_.data() + (rows.tap + i * call_.y.up) * call_.x.taps + columns.tap;
      for (int64_t j = 0; j < columns.count; ++j, ++count) {
        terms.sources[count] = pixel + j * call_.channels;
        terms.weights[count] = tap[j * call_.x.up];
      }
    }
    return count;
  }

  UpFirDnCall call_;
  std::vector<FirMeeting> columns_, rows_;
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

void upfirdn2d_channels_last_cpu(const UpFirDnCall& call, const double* taps, const void* x,
                                 void* y) {
  if (call.type == ElementType::kFloat64) {
    ChannelsLast<double>(call, taps).run(static_cast<const double*>(x), static_cast<double*>(y));
  } else {
    ChannelsLast<float>(call, taps).run(static_cast<const float*>(x), static_cast<float*>(y));
  }
}

}  // namespace galette
