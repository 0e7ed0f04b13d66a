// SPDX-License-Identifier: Apache-2.0
// Images of any size from a CREPS generator, a few rows at a time. Pixels are computed in blocks of
// a fixed size at fixed places of the pixel grid: matrix products round in another way for another
// shape, and so a pixel has the same bits whatever part of the image is asked for, and in whatever
// portions. Lines of columns are computed once and kept.
#pragma once

#include <vector>

#include "models/creps.h"

namespace galette {

/// Pixels along one axis: `points` equally spaced ones from coordinate `from` to `to`, both ends
/// included, of which [first, first + count) are shown; that may reach beyond both ends. Pixel k of
/// the published grid lies at k / (points - 1), and at 0 if it is the only one.
struct PixelAxis {
  int64_t points = 1;
  int64_t first = 0;
  int64_t count = 1;
  double from = 0;
  double to = 1;

  /// Coordinates of pixels [begin, end).
  at::Tensor coordinates(int64_t begin, int64_t end, at::TensorOptions options) const;
};

class CrepsCanvas {
 public:
  static constexpr int64_t kBlock = 256;

  /// `ws` [1, num_ws, w_dim]. `g` must outlive the canvas.
  CrepsCanvas(const CrepsGenerator& g, at::Tensor ws, const PixelAxis& rows,
              const PixelAxis& columns);

  int64_t height() const { return rows_.count; }
  int64_t width() const { return columns_.count; }

  /// The next rows from the top, up to the end of a block, [img_channels, h, width]; h is 0 after
  /// the last one.
  at::Tensor next_rows();

 private:
  /// The pixels of an axis that lie in one block: [begin, end) are computed, [first, last) shown.
  struct Block {
    int64_t begin, end, first, last;
  };
  static Block block_at(const PixelAxis& axis, int64_t pixel);
  at::Tensor empty_line() const;

  const CrepsGenerator& g_;
  at::Tensor ws_;
  PixelAxis rows_, columns_;
  int64_t next_row_;
  std::vector<Block> column_blocks_;
  std::vector<CrepsGenerator::Lines> column_lines_;
};

}  // namespace galette
