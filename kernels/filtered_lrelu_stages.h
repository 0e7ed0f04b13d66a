// SPDX-License-Identifier: Apache-2.0
// The two FIR stages of filtered_lrelu on the CPU, row by row. A row of v is stored in lines, as
// code_layout says; a row of x in as many lines as the lines of v want, a row of y likewise. So
// both stages are sums of contiguous pieces, and phases need not be merged between them. Lines have
// zeros around the samples, which spares all tests of borders.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/filtered_lrelu_math.h"
#include "kernels/fir_plan.h"
#include "kernels/row_sum.h"

namespace galette {

/// Where sample j of a line is stored; j runs from `first`, which may be negative.
struct LineLayout {
  int64_t lines = 1, first = 0, length = 0;
  LineLayout() = default;
  /// Lines for `plan` to read from that hold at least `samples` from j = 0 on.
  LineLayout(const FirPlan& plan, int64_t samples)
      : lines(plan.lines()),
        first(std::min<int64_t>(0, plan.first)),
        length(std::max(samples, plan.first + plan.line_length) - first) {}
  int64_t size() const { return lines * length; }
  int64_t at(int64_t line, int64_t j) const { return line * length + j - first; }
};

/// Samples of a row into its lines.
template <typename T>
GALETTE_FORCE_INLINE inline void split_row(const LineLayout& layout, const T* row, int64_t n,
                                           T start, T* lines) {
  for (int64_t r = 0; r < layout.lines; ++r) {
    T* const line = lines + layout.at(r, 0);
    for (int64_t j = 0, i = r; i < n; ++j, i += layout.lines) line[j] = row[i] + start;
  }
}

/// The inverse, from phases `stride` apart.
template <typename T>
GALETTE_FORCE_INLINE inline void merge_row(const T* phases, int64_t count, int64_t stride, T* row,
                                           int64_t n) {
  for (int64_t a = 0; a < count; ++a)
    for (int64_t j = 0, i = a; i < n; ++j, i += count) row[i] = phases[a * stride + j];
}

/// One stage, the same for all threads: which rows and which pieces of their lines a result meets,
/// and with what weights.
template <typename T>
struct FirStage {
  FirPlan plan;
  LineLayout lines;
  std::vector<FirMeeting> rows;  ///< for each row of results
  bool separable;
  std::vector<T> row_weights;                 ///< separable: as taps_by_phase
  std::vector<std::vector<int64_t>> offsets;  ///< of each phase along the row
  std::vector<std::vector<T>> weights;        ///< of each phase; else [up_y, group, offsets]

  FirStage(const UpFirDnAxis& x, const UpFirDnAxis& y, int64_t split, int64_t samples,
           const LreluTaps& taps)
      : plan(x, split), lines(plan, samples), rows(fir_meetings(y)), separable(!taps.full) {
    if (separable) {
      const std::vector<double> table = taps_by_phase(y, taps.y);
      row_weights.assign(table.begin(), table.end());
    }
    for (const auto& phase : plan.phases) add_phase(phase, y, taps);
  }

  /// The sum over the lines of one row, with separate weights per axis.
  RowTerms<T> along_row(const T* const* row, size_t phase) const {
    return {row, 1, offsets[phase].data(), count(phase), weights[phase].data()};
  }
  /// The sum over whole rows.
  RowTerms<T> across_rows(const T* const* first, const FirMeeting& m) const {
    static constexpr int64_t kHere = 0;
    return {first, m.count, &kHere, 1, row_weights.data() + m.weight};
  }
  /// The sum over lines and rows at once.
  RowTerms<T> over_both(const T* const* first, const FirMeeting& m, size_t phase) const {
    return {first, m.count, offsets[phase].data(), count(phase),
            weights[phase].data() + m.weight * count(phase)};
  }

 private:
  int64_t count(size_t phase) const { return static_cast<int64_t>(offsets[phase].size()); }

  void add_phase(const std::vector<FirTap>& phase, const UpFirDnAxis& y, const LreluTaps& taps) {
    std::vector<int64_t>& to = offsets.emplace_back();
    std::vector<T>& table = weights.emplace_back();
    for (const FirTap& tap : phase) to.push_back(lines.at(tap.line, tap.offset + plan.first));
    if (separable) {
      for (const FirTap& tap : phase) table.push_back(static_cast<T>(taps.x[tap.index]));
      return;
    }
    // The order of rows is that of taps_by_phase, so that a meeting's `weight` counts them.
    const int64_t group = (y.taps + y.up - 1) / y.up;
    for (int64_t row = 0; row < group * y.up; ++row) {
      const int64_t k = row / group + row % group * y.up;
      for (const FirTap& tap : phase) {
        const double weight = k < y.taps ? taps.full[k * plan.axis.taps + tap.index] : 0;
        table.push_back(static_cast<T>(weight));
      }
    }
  }
};

/// The last rows of an image, as many as a filter meets at once; `size` elements each, zero first.
template <typename T>
class RowRing {
 public:
  RowRing(int64_t taps, int64_t size)
      : capacity_((taps + kCodeRows - 1) / kCodeRows * kCodeRows + kCodeRows),
        size_(size),
        rows_(capacity_ * size, T(0)) {}
  T* row(int64_t m) { return rows_.data() + m % capacity_ * size_; }

 private:
  int64_t capacity_, size_;
  std::vector<T> rows_;
};

}  // namespace galette
