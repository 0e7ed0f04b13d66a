// SPDX-License-Identifier: Apache-2.0
// CPU body of filtered_lrelu, threaded over planes. Rows of v are made four at a time, activated,
// filtered further and forgotten: what a thread holds of a plane are the last rows that the second
// filter still meets, which stay in the cache.
#include "kernels/filtered_lrelu_stages.h"
#include "kernels/threads.h"

namespace galette {
namespace {

/// What all threads of a call share.
template <typename T>
struct Plan {
  Plan(const FilteredLreluCall& c, const LreluTaps& up_taps, const LreluTaps& down_taps)
      : call(c),
        codes(code_layout(c)),
        up(c.up_x, c.up_y, codes.phases / c.up_x.up,
           (c.up_x.in + codes.phases / c.up_x.up - 1) / (codes.phases / c.up_x.up), up_taps),
        down(c.down_x, c.down_y, codes.phases / c.down_x.down, codes.line, down_taps) {}

  FilteredLreluCall call;
  CodeLayout codes;
  FirStage<T> up, down;
};

/// Rows of v from a plane of x.
template <typename T>
class UpRows {
 public:
  explicit UpRows(const Plan<T>& plan)
      : stage_(plan.up),
        v_lines_(plan.down.lines),
        width_(plan.call.up_x.in),
        sources_(plan.call.up_y.taps),
        whole_row_(width_),
        lines_(plan.up.lines.size(), T(0)),
        ring_(stage_.separable ? 0 : plan.call.up_y.taps, plan.up.lines.size()) {}

  GALETTE_FORCE_INLINE void start(const T* plane, T bias) {
    plane_ = plane;
    bias_ = bias;
    next_ = 0;
  }

  GALETTE_FORCE_INLINE void make(int64_t m, T* v) {
    const FirMeeting& rows = stage_.rows[m];
    if (stage_.separable) {
      sum_rows(rows);
    } else {
      fetch_rows(rows);
    }
    const T* const line_row = lines_.data();
    for (size_t a = 0; a < stage_.offsets.size(); ++a) {
      const RowTerms<T> terms = stage_.separable ? stage_.along_row(&line_row, a)
                                                 : stage_.over_both(sources_.data(), rows, a);
      const int64_t n = stage_.plan.count(static_cast<int64_t>(a));
      if (n > 0) row_sum(v + v_lines_.at(static_cast<int64_t>(a), 0), terms, T(0), n);
    }
  }

 private:
  /// Fills lines_ with the sum of rows of x + bias; the bias takes part by its share of the
  /// weights.
  GALETTE_FORCE_INLINE void sum_rows(const FirMeeting& rows) {
    const RowTerms<T> terms = stage_.across_rows(sources_.data(), rows);
    T weight = 0;
    for (int64_t i = 0; i < rows.count; ++i) {
      sources_[i] = plane_ + (rows.sample + i) * width_;
      weight += terms.weights[i];
    }
    const bool whole = stage_.lines.lines == 1;
    T* const sum = whole ? lines_.data() + stage_.lines.at(0, 0) : whole_row_.data();
    row_sum(sum, terms, bias_ * weight, width_);
    if (!whole) split_row(stage_.lines, sum, width_, T(0), lines_.data());
  }

  /// Lets sources_ point to the lines of the rows of x + bias.
  GALETTE_FORCE_INLINE void fetch_rows(const FirMeeting& rows) {
    for (next_ = std::max(next_, rows.sample); next_ < rows.sample + rows.count; ++next_)
      split_row(stage_.lines, plane_ + next_ * width_, width_, bias_, ring_.row(next_));
    for (int64_t i = 0; i < rows.count; ++i) sources_[i] = ring_.row(rows.sample + i);
  }

  const FirStage<T>& stage_;
  const LineLayout& v_lines_;
  int64_t width_;
  const T* plane_ = nullptr;
  T bias_ = 0;
  int64_t next_ = 0;  // row of x that the ring takes next
  std::vector<const T*> sources_;
  std::vector<T> whole_row_, lines_;
  RowRing<T> ring_;
};

/// Rows of y from rows of v: a separable filter first goes along each row, and the ring holds what
/// comes of it; another one holds the rows of v themselves.
template <typename T>
class DownRows {
 public:
  explicit DownRows(const Plan<T>& plan)
      : stage_(plan.down),
        width_(plan.call.down_x.out),
        stride_(stage_.plan.count(0)),
        sources_(plan.call.down_y.taps),
        phases_(stride_ * static_cast<int64_t>(stage_.offsets.size())),
        v_(stage_.separable ? kCodeRows * stage_.lines.size() : 0, T(0)),
        ring_(plan.call.down_y.taps,
              stage_.separable ? static_cast<int64_t>(phases_.size()) : stage_.lines.size()) {}

  GALETTE_FORCE_INLINE void start(T* plane) {
    plane_ = plane;
    next_ = 0;
  }

  /// Where row m of v is to be made; those of a group of kCodeRows follow each other.
  GALETTE_FORCE_INLINE T* place(int64_t m) {
    return stage_.separable ? v_.data() + m % kCodeRows * stage_.lines.size() : ring_.row(m);
  }

  /// Takes the group of rows from m on, and makes the rows of y whose rows of v are all there.
  GALETTE_FORCE_INLINE void take(int64_t m) {
    if (stage_.separable)
      for (int64_t r = m; r < m + kCodeRows; ++r) filter_row(place(r), ring_.row(r));
    const auto rows = static_cast<int64_t>(stage_.rows.size());
    while (next_ < rows && last(stage_.rows[next_]) <= m + kCodeRows) make(next_++);
  }

 private:
  GALETTE_FORCE_INLINE static int64_t last(const FirMeeting& m) {
    return m.count == 0 ? 0 : m.sample + m.count;
  }

  GALETTE_FORCE_INLINE void filter_row(const T* v, T* to) {
    for (size_t b = 0; b < stage_.offsets.size(); ++b) {
      const auto phase = static_cast<int64_t>(b);
      const int64_t n = stage_.plan.count(phase);
      if (n > 0) row_sum(to + phase * stride_, stage_.along_row(&v, b), T(0), n);
    }
  }

  GALETTE_FORCE_INLINE void make(int64_t q) {
    const FirMeeting& rows = stage_.rows[q];
    for (int64_t i = 0; i < rows.count; ++i) sources_[i] = ring_.row(rows.sample + i);
    T* const out = plane_ + q * width_;
    const auto phases = static_cast<int64_t>(stage_.offsets.size());
    T* const sum = phases == 1 ? out : phases_.data();
    if (stage_.separable) {
      const int64_t n = phases == 1 ? width_ : static_cast<int64_t>(phases_.size());
      row_sum(sum, stage_.across_rows(sources_.data(), rows), T(0), n);
    } else {
      for (int64_t b = 0; b < phases; ++b) {
        const RowTerms<T> terms = stage_.over_both(sources_.data(), rows, static_cast<size_t>(b));
        if (stage_.plan.count(b) > 0) row_sum(sum + b * stride_, terms, T(0), stage_.plan.count(b));
      }
    }
    if (phases > 1) merge_row(sum, phases, stride_, out, width_);
  }

  const FirStage<T>& stage_;
  int64_t width_, stride_;
  T* plane_ = nullptr;
  int64_t next_ = 0;  // row of y that is made next
  std::vector<const T*> sources_;
  std::vector<T> phases_, v_;
  RowRing<T> ring_;
};

/// Activates a line of four rows, `stride` apart, and writes or reads their codes.
template <LreluCodes Codes, typename T>
GALETTE_FORCE_INLINE inline void activate_line(const FilteredLreluCall& call, T* v, int64_t stride,
                                               uint8_t* codes, int64_t n) {
  constexpr int kLanes = kVectorBytes / sizeof(T);
  using Code = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  // NOLINTNEXTLINE(modernize-use-using): a vector of a dependent type
  typedef T Vector __attribute__((vector_size(kVectorBytes)));
  // NOLINTNEXTLINE(modernize-use-using): a vector of a dependent type
  typedef Code CodeVector __attribute__((vector_size(kVectorBytes)));
  // NOLINTNEXTLINE(modernize-use-using): a vector of a dependent type
  typedef uint8_t Bytes __attribute__((vector_size(kLanes)));
  const Vector slope = Vector{} + static_cast<T>(call.slope);
  const Vector clamp = Vector{} + static_cast<T>(call.clamp);
  for (int64_t i = 0; i < n; i += kLanes) {
    Bytes bytes{};
    if constexpr (Codes == LreluCodes::read) std::memcpy(&bytes, codes + i, sizeof bytes);
    CodeVector packed = __builtin_convertvector(bytes, CodeVector);
#pragma GCC unroll 4
    for (int r = 0; r < kCodeRows; ++r) {
      Vector value;
      T* const place = v + r * stride + i;
      std::memcpy(&value, place, sizeof value);
      CodeVector code;
      if constexpr (Codes == LreluCodes::read) {
        code = (packed >> (2 * r)) & 3;
        apply_code(value, slope, code);
      } else {
        apply_lrelu(value, slope, clamp, code);
        packed |= code << (2 * r);
      }
      std::memcpy(place, &value, sizeof value);
    }
    if constexpr (Codes == LreluCodes::write) {
      bytes = __builtin_convertvector(packed, Bytes);
      std::memcpy(codes + i, &bytes, sizeof bytes);
    }
  }
}

template <LreluCodes Codes, typename T>
GALETTE_FORCE_INLINE inline void run_planes(const Plan<T>& plan, UpRows<T>& up, DownRows<T>& down,
                                            const T* x, const T* bias, uint8_t* codes, T* y,
                                            int64_t begin, int64_t end) {
  const FilteredLreluCall& call = plan.call;
  const LineLayout& lines = plan.down.lines;
  const int64_t height = call.up_y.out, code_row = plan.codes.columns();
  for (int64_t p = begin; p < end; ++p) {
    up.start(x + p * call.up_y.in * call.up_x.in, bias ? bias[p % call.channels] : T(0));
    down.start(y + p * call.down_y.out * call.down_x.out);
    for (int64_t m = 0; m < height; m += kCodeRows) {
      T* const group = down.place(m);
      for (int64_t r = 0; r < kCodeRows; ++r) {
        T* const row = group + r * lines.size();
        if (m + r < height) {
          up.make(m + r, row);
        } else {
          std::fill(row, row + lines.size(), T(0));
        }
      }
      const int64_t first_code = (p * plan.codes.rows + m / kCodeRows) * code_row;
      for (int64_t a = 0; a < plan.codes.phases; ++a) {
        uint8_t* const to = codes ? codes + first_code + a * plan.codes.line : nullptr;
        activate_line<Codes>(call, group + lines.at(a, 0), lines.size(), to, plan.codes.line);
      }
      down.take(m);
    }
  }
}

template <typename T>
void run(const FilteredLreluCall& call, const LreluTaps& up_taps, const LreluTaps& down_taps,
         const T* x, const T* bias, uint8_t* codes, T* y) {
  const Plan<T> plan(call, up_taps, down_taps);
  at::parallel_for(0, call.planes, 1, [&](int64_t begin, int64_t end) {
    UpRows<T> up(plan);
    DownRows<T> down(plan);
    run_vectorised([&]() GALETTE_FORCE_INLINE {
      switch (call.codes) {
        case LreluCodes::none:
          return run_planes<LreluCodes::none>(plan, up, down, x, bias, codes, y, begin, end);
        case LreluCodes::write:
          return run_planes<LreluCodes::write>(plan, up, down, x, bias, codes, y, begin, end);
        case LreluCodes::read:
          return run_planes<LreluCodes::read>(plan, up, down, x, bias, codes, y, begin, end);
      }
    });
  });
}

}  // namespace

void filtered_lrelu_cpu(const FilteredLreluCall& call, const LreluTaps& up, const LreluTaps& down,
                        const void* x, const void* bias, uint8_t* codes, void* y) {
  if (call.type == ElementType::kFloat64) {
    run(call, up, down, static_cast<const double*>(x), static_cast<const double*>(bias), codes,
        static_cast<double*>(y));
  } else {
    run(call, up, down, static_cast<const float*>(x), static_cast<const float*>(bias), codes,
        static_cast<float*>(y));
  }
}

}  // namespace galette
