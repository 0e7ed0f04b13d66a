// SPDX-License-Identifier: Apache-2.0
// CPU body of affine_resample, threaded over planes, tile by tile (affine_tile.h). Reflection is a
// matter of indices: no extended image is made. The adjoint adds to the plane in a fixed order, so
// its results do not depend on the threads.
#include <vector>

#include "kernels/affine_tile.h"
#include "kernels/fir_plan.h"
#include "kernels/threads.h"

namespace galette {
namespace {

/// out = even[0], odd[0], even[1], odd[1], ..., n of each.
template <typename T>
GALETTE_FORCE_INLINE inline void interleave(const T* even, const T* odd, T* out, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    out[2 * i] = even[i];
    out[2 * i + 1] = odd[i];
  }
}

template <typename T>
GALETTE_FORCE_INLINE inline void split(const T* in, T* even, T* odd, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    even[i] = in[2 * i];
    odd[i] = in[2 * i + 1];
  }
}

/// At least n elements; those that a filter expects to be zero are set where they are used.
template <typename T>
T* room(std::vector<T>& buffer, int64_t n) {
  if (static_cast<int64_t>(buffer.size()) < n) buffer.resize(static_cast<size_t>(n));
  return buffer.data();
}

/// One thread's means to transform planes. Taps of even and of odd index stand apart.
template <typename T>
class PlaneResampler {
 public:
  explicit PlaneResampler(const AffineResampleCall& call) : call_(call) {
    for (int64_t t = 0; t < kHalfTaps; ++t) {
      for (int64_t odd : {0, 1}) {
        enlarge_[odd][t] = static_cast<T>(2 * call.taps[kWaveletTaps - 1 - (2 * t + odd)]);
        reduce_[odd][t] = static_cast<T>(call.taps[2 * t + odd]);
      }
    }
  }

  GALETTE_FORCE_INLINE void forward(const AffinePath& path, const T* image, T* result) {
    for_tiles(path, [&](const AffineTile& tile) GALETTE_FORCE_INLINE {
      T* const out = result + tile.row * call_.width + tile.column;
      if (tile.empty()) {
        for (int64_t r = 0; r < tile.rows; ++r)
          std::fill_n(out + r * call_.width, tile.columns, T(0));
        return;
      }
      plan_columns(tile, path.margins);
      enlarge(tile, path.margins, image);
      sample(tile, path);
      reduce(tile, out);
    });
  }

  GALETTE_FORCE_INLINE void adjoint(const AffinePath& path, const T* gradient, T* image) {
    std::fill_n(image, call_.height * call_.width, T(0));
    for_tiles(path, [&](const AffineTile& tile) GALETTE_FORCE_INLINE {
      if (tile.empty()) return;
      plan_columns(tile, path.margins);
      scatter(tile, path, gradient + tile.row * call_.width + tile.column);
      gather(tile, path.margins, image);
    });
  }

 private:
  template <class Body>
  GALETTE_FORCE_INLINE void for_tiles(const AffinePath& path, const Body& body) {
    for (int64_t row = 0; row < call_.height; row += AffineTile::kSize)
      for (int64_t column = 0; column < call_.width; column += AffineTile::kSize)
        body(AffineTile(call_, path, row, column));
  }

  /// For each pixel of an extended row: the column of the image, or the zero behind it.
  void plan_columns(const AffineTile& tile, const AffineMargins& margins) {
    const int64_t width = call_.width;
    columns_.resize(static_cast<size_t>(tile.extended()));
    used_first_ = width;
    used_last_ = -1;
    for (int64_t l = 0; l < tile.extended(); ++l) {
      const int64_t i = tile.first_pair - kHalfTaps / 2 + l;
      const bool inside = i >= -margins.left && i < width + margins.right;
      const int64_t column = inside ? reflect(i, width) : width;
      columns_[static_cast<size_t>(l)] = static_cast<int32_t>(column);
      if (inside) {
        used_first_ = std::min(used_first_, column);
        used_last_ = std::max(used_last_, column);
      }
    }
  }
  int64_t used() const { return used_last_ - used_first_ + 1; }

  /// Calls f(row of the image, weight) for the rows that row `line` of the enlarged image is of.
  template <class F>
  GALETTE_FORCE_INLINE void for_rows(int64_t line, const AffineMargins& margins, const F& f) const {
    const int64_t odd = floor_mod(line, 2);
    const int64_t first = floor_div(line, 2) - kHalfTaps / 2 + odd;
    for (int64_t t = 0; t < kHalfTaps; ++t) {
      const int64_t i = first + t;
      if (i < -margins.top || i >= call_.height + margins.bottom) continue;
      f(reflect(i, call_.height), enlarge_[odd][t]);
    }
  }

  GALETTE_FORCE_INLINE void enlarge(const AffineTile& tile, const AffineMargins& margins,
                                    const T* image) {
    const int64_t stride = tile.stride(), n = tile.pairs;
    T* const piece = room(piece_, tile.stored());
    T* const sums = room(row_, call_.width + 1);
    T* const extended = room(extended_, tile.extended());
    T* const even = room(even_, n);
    T* const odd = room(odd_, n);
    std::fill_n(piece, stride, T(0));
    std::fill_n(piece + (tile.lines + 1) * stride, 2 * stride, T(0));
    for (int64_t y = 0; y < tile.lines; ++y) {
      const T* sources[kHalfTaps];
      T weights[kHalfTaps];
      int64_t terms = 0;
      for_rows(tile.first_line + y, margins, [&](int64_t row, T weight) GALETTE_FORCE_INLINE {
        sources[terms] = image + row * call_.width + used_first_;
        weights[terms++] = weight;
      });
      weighted_sum(sums + used_first_, sources, weights, terms, used());
      sums[call_.width] = 0;
      for (int64_t l = 0; l < tile.extended(); ++l) extended[l] = sums[columns_[l]];
      sum_shifted(even, extended, enlarge_[0], n);
      sum_shifted(odd, extended + 1, enlarge_[1], n);
      T* const line = piece + (y + 1) * stride;
      line[0] = line[stride - 2] = line[stride - 1] = 0;
      interleave(even, odd, line + 1, n);
    }
  }

  /// out[i] = sum over t of taps[t] in[i + t].
  GALETTE_FORCE_INLINE static void sum_shifted(T* out, const T* in, const T* taps, int64_t n) {
    const T* sources[kHalfTaps];
    for (int64_t t = 0; t < kHalfTaps; ++t) sources[t] = in + t;
    weighted_sum(out, sources, taps, kHalfTaps, n);
  }

  GALETTE_FORCE_INLINE void sample(const AffineTile& tile, const AffinePath& path) {
    const auto n = static_cast<int32_t>(tile.canvas_columns());
    T* const canvas = room(canvas_, tile.canvas_rows() * n);
    const T* const piece = piece_.data();
    for (int64_t i = 0; i < tile.canvas_rows(); ++i) {
      const PieceReader<T> reader(tile, path, i);
      T* const out = canvas + i * n;
#pragma omp simd
      for (int32_t j = 0; j < n; ++j) {
        T right, lower;
        const T* const s = piece + reader.at(j, right, lower);
        const T* const below = s + reader.stride;
        const T upper = s[0] + right * (s[1] - s[0]);
        out[j] = upper + lower * (below[0] + right * (below[1] - below[0]) - upper);
      }
    }
  }

  GALETTE_FORCE_INLINE void reduce(const AffineTile& tile, T* out) {
    const int64_t n = tile.canvas_columns(), half = n / 2;
    T* const row = room(row_, n);
    T* const even = room(even_, half);
    T* const odd = room(odd_, half);
    for (int64_t r = 0; r < tile.rows; ++r) {
      const T* sources[kWaveletTaps];
      T weights[kWaveletTaps];
      for (int64_t k = 0; k < kWaveletTaps; ++k) {
        sources[k] = canvas_.data() + (2 * r + k) * n;
        weights[k] = reduce_[k % 2][k / 2];
      }
      weighted_sum(row, sources, weights, kWaveletTaps, n);
      split(row, even, odd, half);
      for (int64_t t = 0; t < kHalfTaps; ++t) {
        sources[2 * t] = even + t;
        sources[2 * t + 1] = odd + t;
      }
      weighted_sum(out + r * call_.width, sources, weights, kWaveletTaps, tile.columns);
    }
  }

  /// Transposes of reduce and sample: gradients of the results to gradients of the piece.
  GALETTE_FORCE_INLINE void scatter(const AffineTile& tile, const AffinePath& path,
                                    const T* gradient) {
    const auto n = static_cast<int32_t>(tile.canvas_columns());
    T* const piece = room(piece_, tile.stored());
    std::fill_n(piece, tile.stored(), T(0));
    T* const canvas = room(canvas_, n);
    for (int64_t i = 0; i < tile.canvas_rows(); ++i) {
      widen(tile, i, gradient, canvas);
      const PieceReader<T> reader(tile, path, i);
      for (int32_t j = 0; j < n; ++j) {
        T right, lower;
        T* const s = piece + reader.at(j, right, lower);
        T* const below = s + reader.stride;
        const T down = canvas[j] * lower, up = canvas[j] - down;
        s[0] += up - up * right;
        s[1] += up * right;
        below[0] += down - down * right;
        below[1] += down * right;
      }
    }
  }

  /// Row i of the canvas' gradient.
  GALETTE_FORCE_INLINE void widen(const AffineTile& tile, int64_t i, const T* gradient, T* canvas) {
    const int64_t half = tile.canvas_columns() / 2, border = kHalfTaps - 1;
    T* const sums = room(row_, tile.columns + 2 * border);
    T* const even = room(even_, half);
    T* const odd = room(odd_, half);
    const T* sources[kHalfTaps];
    T weights[kHalfTaps];
    int64_t terms = 0;
    for (int64_t t = 0; t < kHalfTaps; ++t) {
      const int64_t r = i / 2 - t;
      if (r < 0 || r >= tile.rows) continue;
      sources[terms] = gradient + r * call_.width;
      weights[terms++] = reduce_[i % 2][t];
    }
    std::fill_n(sums, border, T(0));
    weighted_sum(sums + border, sources, weights, terms, tile.columns);
    std::fill_n(sums + border + tile.columns, border, T(0));
    for (int64_t t = 0; t < kHalfTaps; ++t) sources[t] = sums + border - t;
    weighted_sum(even, sources, reduce_[0], kHalfTaps, half);
    weighted_sum(odd, sources, reduce_[1], kHalfTaps, half);
    interleave(even, odd, canvas, half);
  }

  /// Transpose of enlarge: adds to the image.
  GALETTE_FORCE_INLINE void gather(const AffineTile& tile, const AffineMargins& margins, T* image) {
    const int64_t n = tile.pairs, border = kHalfTaps;
    T* const even = room(even_, n + 2 * border);
    T* const odd = room(odd_, n + 2 * border);
    T* const extended = room(extended_, tile.extended());
    T* const sums = room(row_, call_.width + 1);
    for (T* const line : {even, odd}) {
      std::fill_n(line, border, T(0));
      std::fill_n(line + border + n, border, T(0));
    }
    const T* sources[kWaveletTaps];
    T weights[kWaveletTaps];
    for (int64_t t = 0; t < kHalfTaps; ++t) {
      sources[2 * t] = even + border - t;
      sources[2 * t + 1] = odd + border - 1 - t;
      weights[2 * t] = enlarge_[0][t];
      weights[2 * t + 1] = enlarge_[1][t];
    }
    sums[call_.width] = 0;
    for (int64_t y = 0; y < tile.lines; ++y) {
      split(piece_.data() + (y + 1) * tile.stride() + 1, even + border, odd + border, n);
      weighted_sum(extended, sources, weights, kWaveletTaps, tile.extended());
      std::fill_n(sums + used_first_, used(), T(0));
      for (int64_t l = 0; l < tile.extended(); ++l) sums[columns_[l]] += extended[l];
      for_rows(tile.first_line + y, margins, [&](int64_t row, T weight) GALETTE_FORCE_INLINE {
        add_scaled(image + row * call_.width + used_first_, sums + used_first_, weight, used());
      });
    }
  }

  GALETTE_FORCE_INLINE static void add_scaled(T* out, const T* in, T weight, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) out[i] += weight * in[i];
  }

  AffineResampleCall call_;
  T enlarge_[2][kHalfTaps], reduce_[2][kHalfTaps];
  std::vector<int32_t> columns_;
  int64_t used_first_ = 0, used_last_ = -1;  ///< columns of the image that the tile is made of
  std::vector<T> piece_, canvas_, row_, extended_, even_, odd_;
};

template <typename T>
void run(const AffineResampleCall& call, const AffinePath* paths, bool adjoint, const T* in,
         T* out) {
  const int64_t size = call.height * call.width;
  at::parallel_for(0, call.planes, 1, [&](int64_t begin, int64_t end) {
    PlaneResampler<T> resampler(call);
    run_vectorised([&]() GALETTE_FORCE_INLINE {
      for (int64_t plane = begin; plane < end; ++plane) {
        const AffinePath& path = paths[plane / call.channels];
        if (adjoint) {
          resampler.adjoint(path, in + plane * size, out + plane * size);
        } else {
          resampler.forward(path, in + plane * size, out + plane * size);
        }
      }
    });
  });
}

}  // namespace

void affine_resample_cpu(const AffineResampleCall& call, const AffinePath* paths, bool adjoint,
                         const void* in, void* out) {
  if (call.type == ElementType::kFloat64) {
    run(call, paths, adjoint, static_cast<const double*>(in), static_cast<double*>(out));
  } else {
    run(call, paths, adjoint, static_cast<const float*>(in), static_cast<float*>(out));
  }
}

}  // namespace galette
