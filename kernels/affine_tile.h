// SPDX-License-Identifier: Apache-2.0
// The part of affine_resample that the CPU does at a time: a tile of results, the canvas under it,
// and the piece of the enlarged image that this canvas reads. So all that lies in between stays in
// the cache, whatever the size of the image. The piece is stored in rows with one zero column
// before and two behind, and as many zero rows, so that reading outside needs no test.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/affine_resample_math.h"
#include "kernels/cpu_isa.h"
#include "kernels/upfirdn2d_math.h"

namespace galette {

struct AffineTile {
  static constexpr int64_t kSize = 64;

  int64_t row = 0, column = 0;        ///< first result
  int64_t rows = 0, columns = 0;      ///< results
  int64_t first_pair = 0, pairs = 0;  ///< columns of the piece: from 2 first_pair on, 2 pairs
  int64_t first_line = 0, lines = 0;  ///< rows of the piece
  double x = 0, y = 0;                ///< place of canvas sample (0, 0) in the stored piece

  AffineTile(const AffineResampleCall& call, const AffinePath& path, int64_t r, int64_t c)
      : row(r),
        column(c),
        rows(std::min(kSize, call.height - r)),
        columns(std::min(kSize, call.width - c)) {
    const auto left = static_cast<double>(2 * c), top = static_cast<double>(2 * r);
    x = path.origin_x + left * path.column_x + top * path.row_x;
    y = path.origin_y + left * path.column_y + top * path.row_y;
    const AffineMargins& m = path.margins;
    const Range across = read_range(x, path.column_x, path.row_x, m.left, call.width + m.right);
    const Range down = read_range(y, path.column_y, path.row_y, m.top, call.height + m.bottom);
    if (across.count == 0 || down.count == 0) return;
    first_pair = floor_div(across.first, 2);
    pairs = floor_div(across.first + across.count - 1, 2) - first_pair + 1;
    first_line = down.first;
    lines = down.count;
    x -= static_cast<double>(2 * first_pair - 1);
    y -= static_cast<double>(first_line - 1);
  }

  /// The whole canvas lies where the image is zero.
  bool empty() const { return lines == 0; }
  int64_t canvas_rows() const { return 2 * rows + kCanvasExtra; }
  int64_t canvas_columns() const { return 2 * columns + kCanvasExtra; }
  int64_t stride() const { return 2 * pairs + 3; }
  int64_t stored() const { return (lines + 3) * stride(); }
  /// Pixels that a row of the piece is made of, from pixel first_pair - 3 on.
  int64_t extended() const { return pairs + kHalfTaps; }

 private:
  struct Range {
    int64_t first = 0, count = 0;
  };
  /// What an axis reads, starting at `start`, of an image that spans pixels [-before, end).
  Range read_range(double start, double per_column, double per_row, int64_t before,
                   int64_t end) const {
    const double across = per_column * static_cast<double>(canvas_columns() - 1);
    const double down = per_row * static_cast<double>(canvas_rows() - 1);
    const auto lowest = static_cast<double>(-2 * before),
               highest = static_cast<double>(2 * end - 1);
    const double low = std::max(start + std::min(across, 0.0) + std::min(down, 0.0), lowest);
    const double high = std::min(start + std::max(across, 0.0) + std::max(down, 0.0), highest);
    // Up to one sample beyond the ends still weighs in.
    if (low >= highest + 1 || high <= lowest - 1) return {};
    const auto first = static_cast<int64_t>(std::floor(std::min(low, highest)));
    const auto last =
        std::min(static_cast<int64_t>(std::floor(std::max(high, lowest))) + 1, 2 * end - 1);
    return {first, last - first + 1};
  }
};

/// Where one row of the canvas reads the piece; outside it, in its border of zeros.
template <typename T>
struct PieceReader {
  T x, y, step_x, step_y, last_x, last_y;
  int32_t stride;
  PieceReader(const AffineTile& tile, const AffinePath& path, int64_t row)
      : x(static_cast<T>(tile.x + static_cast<double>(row) * path.row_x)),
        y(static_cast<T>(tile.y + static_cast<double>(row) * path.row_y)),
        step_x(static_cast<T>(path.column_x)),
        step_y(static_cast<T>(path.column_y)),
        last_x(static_cast<T>(2 * tile.pairs + 1)),
        last_y(static_cast<T>(tile.lines + 1)),
        stride(static_cast<int32_t>(tile.stride())) {}
  /// The upper left of four samples, and the weights of the lower and the right ones.
  GALETTE_FORCE_INLINE int32_t at(int32_t j, T& right, T& lower) const {
    const T u = std::min(std::max(x + static_cast<T>(j) * step_x, T(0)), last_x);
    const T v = std::min(std::max(y + static_cast<T>(j) * step_y, T(0)), last_y);
    const auto column = static_cast<int32_t>(u), row = static_cast<int32_t>(v);
    right = u - static_cast<T>(column);
    lower = v - static_cast<T>(row);
    return row * stride + column;
  }
};

}  // namespace galette
