// SPDX-License-Identifier: Apache-2.0
#include "models/creps_canvas.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>

namespace galette {
namespace {

/// The largest multiple of `step` that is not above `value`, which may be negative.
int64_t round_down(int64_t value, int64_t step) {
  const int64_t rest = value % step;
  return value - (rest < 0 ? rest + step : rest);
}

}  // namespace

at::Tensor PixelAxis::coordinates(int64_t begin, int64_t end, at::TensorOptions options) const {
  if (from == 0 && to == 1 && begin >= 0 && end <= points) {
    return CrepsGenerator::grid(points, options).slice(0, begin, end);
  }
  const at::Tensor k = at::arange(begin, end, at::kDouble);
  const double intervals = static_cast<double>(std::max<int64_t>(points - 1, 1));
  return (k / intervals * (to - from) + from).to(options);
}

CrepsCanvas::Block CrepsCanvas::block_at(const PixelAxis& axis, int64_t pixel) {
  // Blocks end with the grid, so that an image within one block is computed as the generator's own.
  const int64_t lattice = round_down(pixel, kBlock);
  const bool beyond = pixel >= axis.points;
  const int64_t begin = beyond ? std::max(lattice, axis.points) : lattice;
  const int64_t end = beyond ? lattice + kBlock : std::min(lattice + kBlock, axis.points);
  return {begin, end, pixel, std::min(end, axis.first + axis.count)};
}

CrepsCanvas::CrepsCanvas(const CrepsGenerator& g, at::Tensor ws, const PixelAxis& rows,
                         const PixelAxis& columns)
    : g_(g), ws_(std::move(ws)), rows_(rows), columns_(columns), next_row_(rows.first) {
  const at::NoGradGuard no_grad;
  for (int64_t pixel = columns.first; pixel < columns.first + columns.count;
       pixel = column_blocks_.back().last) {
    const Block block = block_at(columns, pixel);
    column_blocks_.push_back(block);
    column_lines_.push_back(
        g_.lines(ws_, empty_line(), columns.coordinates(block.begin, block.end, ws_.options())));
  }
}

at::Tensor CrepsCanvas::empty_line() const {
  return at::empty({0}, ws_.options());
}

at::Tensor CrepsCanvas::next_rows() {
  const at::NoGradGuard no_grad;
  const int64_t end = rows_.first + rows_.count;
  if (next_row_ >= end) return at::empty({g_.img_channels(), 0, width()}, ws_.options());
  const Block band = block_at(rows_, next_row_);
  const CrepsGenerator::Lines row_lines =
      g_.lines(ws_, rows_.coordinates(band.begin, band.end, ws_.options()), empty_line());
  at::Tensor pixels =
      at::empty({g_.img_channels(), band.last - band.first, width()}, ws_.options());
  for (size_t i = 0; i < column_blocks_.size(); ++i) {
    const Block& block = column_blocks_[i];
    const at::Tensor part = g_.pixels(ws_, {row_lines.rows, column_lines_[i].columns})[0];
    pixels.narrow(2, block.first - columns_.first, block.last - block.first)
        .copy_(part.narrow(1, band.first - band.begin, band.last - band.first)
                   .narrow(2, block.first - block.begin, block.last - block.first));
  }
  next_row_ = band.last;
  return pixels;
}

}  // namespace galette
