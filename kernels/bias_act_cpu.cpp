// SPDX-License-Identifier: Apache-2.0
// CPU bodies of bias_act: one pass, threaded, vectorised. The work is cut into tiles whose borders
// depend on the shape only, so sums do not depend on the number of threads. A tile is a piece of
// one row (inner elements of one channel), or a block of whole pixels when the channel is the last
// axis.
#include <algorithm>
#include <vector>

#include "kernels/bias_act_math.h"
#include "kernels/cpu_isa.h"
#include "kernels/threads.h"

namespace galette {
namespace {

constexpr int64_t kTile = 4096;     // elements of a piece of a row
constexpr int64_t kSumBlock = 512;  // elements that are summed in T before the sum goes to double
constexpr int64_t kGrain = 32768;   // elements below which a thread is not worth waking

struct Tile {
  int64_t offset;   // of the first element
  int64_t length;   // elements, or pixels when the channel is the last axis
  int64_t channel;  // of a piece of a row
};

/// How a call is cut.
struct Tiling {
  bool channel_last;
  int64_t channels, inner, tiles_per_row, pixels, tiles;

  explicit Tiling(const BiasActCall& call)
      : channel_last(call.channels > 1 && call.inner == 1),
        channels(call.channels),
        inner(call.inner),
        tiles_per_row((call.inner + kTile - 1) / kTile),
        pixels(std::clamp<int64_t>(call.outer / 64, 16, 256)),
        tiles(channel_last ? (call.outer + pixels - 1) / pixels
                           : call.outer * call.channels * tiles_per_row),
        outer_(call.outer) {}

  int64_t grain() const {
    const int64_t elements = channel_last ? pixels * channels : std::min(inner, kTile);
    return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, elements));
  }
  GALETTE_FORCE_INLINE Tile operator[](int64_t i) const {
    if (channel_last) {
      const int64_t first = i * pixels;
      return {first * channels, std::min(pixels, outer_ - first), 0};
    }
    const int64_t row = i / tiles_per_row;
    const int64_t begin = (i % tiles_per_row) * kTile;
    return {row * inner + begin, std::min(kTile, inner - begin), row % channels};
  }

 private:
  int64_t outer_;
};

/// Runs body(tile index, tile) over all tiles.
template <class Body>
void for_each_tile(const Tiling& tiling, const Body& body) {
  at::parallel_for(0, tiling.tiles, tiling.grain(), [&](int64_t begin, int64_t end) {
    run_vectorised([&]() GALETTE_FORCE_INLINE {
      for (int64_t i = begin; i < end; ++i) body(i, tiling[i]);
    });
  });
}

template <Activation A, typename T>
GALETTE_FORCE_INLINE inline void forward_run(const T* x, T bias, T* y, int64_t n,
                                             BiasActScalars<T> s) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = bias_act_forward<A>(x[i], bias, s);
}

template <Activation A, typename T>
GALETTE_FORCE_INLINE inline void forward_pixel(const T* x, const T* bias, T* y, int64_t n,
                                               BiasActScalars<T> s) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = bias_act_forward<A>(x[i], bias[i], s);
}

template <Activation A, typename T>
void forward(const BiasActCall& call, const T* x, const T* bias, T* y) {
  const BiasActScalars<T> s(call);
  const Tiling tiling(call);
  for_each_tile(tiling, [&](int64_t, Tile tile) GALETTE_FORCE_INLINE {
    if (!tiling.channel_last) {
      return forward_run<A>(x + tile.offset, bias == nullptr ? T(0) : bias[tile.channel],
                            y + tile.offset, tile.length, s);
    }
    for (int64_t p = 0; p < tile.length; ++p) {
      const int64_t at = tile.offset + p * tiling.channels;
      forward_pixel<A>(x + at, bias, y + at, tiling.channels, s);
    }
  });
}

/// Writes dx and returns its sum, added in blocks.
template <Activation A, typename T>
GALETTE_FORCE_INLINE inline double gradient_run(const T* dy, const T* ref, T bias, T* dx, int64_t n,
                                                BiasActScalars<T> s) {
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kSumBlock) {
    const int64_t end = std::min(n, begin + kSumBlock);
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; ++i) {
      const T value = bias_act_gradient<A>(dy[i], ref[i], bias, s);
      dx[i] = value;
      sum += value;
    }
    total += static_cast<double>(sum);
  }
  return total;
}

/// Writes dx and adds it to sum[c].
template <Activation A, typename T>
GALETTE_FORCE_INLINE inline void gradient_pixel(const T* dy, const T* ref, const T* bias, T* dx,
                                                T* sum, int64_t n, BiasActScalars<T> s) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    // Only swish reads the bias.
    const T b = A == Activation::kSwish ? bias[i] : T(0);
    const T value = bias_act_gradient<A>(dy[i], ref[i], b, s);
    dx[i] = value;
    sum[i] += value;
  }
}

/// The sums of the tiles of channel-last data: one row of channels per tile.
template <typename T>
void reduce_pixel_tiles(const Tiling& tiling, const std::vector<T>& sums, T* db) {
  for (int64_t c = 0; c < tiling.channels; ++c) {
    double total = 0;
    for (int64_t t = 0; t < tiling.tiles; ++t)
      total += static_cast<double>(sums[t * tiling.channels + c]);
    db[c] = static_cast<T>(total);
  }
}

/// The sums of the tiles of rows: one number per tile.
template <typename T>
void reduce_row_tiles(const Tiling& tiling, const std::vector<double>& sums, T* db) {
  std::vector<double> totals(tiling.channels, 0.0);
  for (int64_t t = 0; t < tiling.tiles; ++t)
    totals[t / tiling.tiles_per_row % tiling.channels] += sums[t];
  for (int64_t c = 0; c < tiling.channels; ++c) db[c] = static_cast<T>(totals[c]);
}

template <Activation A, typename T>
void gradient_channel_last(const BiasActCall& call, const T* dy, const T* ref, const T* bias, T* dx,
                           T* db) {
  const BiasActScalars<T> s(call);
  const Tiling tiling(call);
  const int64_t channels = tiling.channels;
  std::vector<T> sums(tiling.tiles * channels, T(0));
  for_each_tile(tiling, [&](int64_t index, Tile tile) GALETTE_FORCE_INLINE {
    T* const sum = sums.data() + index * channels;
    for (int64_t p = 0; p < tile.length; ++p) {
      const int64_t at = tile.offset + p * channels;
      gradient_pixel<A>(dy + at, ref + at, bias, dx + at, sum, channels, s);
    }
  });
  if (db != nullptr) reduce_pixel_tiles(tiling, sums, db);
}

template <Activation A, typename T>
void gradient_rows(const BiasActCall& call, const T* dy, const T* ref, const T* bias, T* dx,
                   T* db) {
  const BiasActScalars<T> s(call);
  const Tiling tiling(call);
  std::vector<double> sums(tiling.tiles);
  for_each_tile(tiling, [&](int64_t index, Tile tile) GALETTE_FORCE_INLINE {
    const int64_t at = tile.offset;
    sums[index] = gradient_run<A>(dy + at, ref + at, bias == nullptr ? T(0) : bias[tile.channel],
                                  dx + at, tile.length, s);
  });
  if (db != nullptr) reduce_row_tiles(tiling, sums, db);
}

template <Activation A, typename T>
void curvature(const BiasActCall& call, const T* dy, const T* e, const T* ref, const T* bias,
               T* h) {
  const BiasActScalars<T> s(call);
  const Tiling tiling(call);
  for_each_tile(tiling, [&](int64_t, Tile tile) GALETTE_FORCE_INLINE {
    const int64_t n = tiling.channel_last ? tile.length * tiling.channels : tile.length;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t at = tile.offset + i;
      const int64_t channel = tiling.channel_last ? i % tiling.channels : tile.channel;
      const T b = bias == nullptr ? T(0) : bias[channel];
      h[at] = bias_act_curvature<A>(dy[at], e[at], ref[at], b, s);
    }
  });
}

/// Calls f(activation constant, T()) for the call's activation and element type.
template <class F>
void dispatch(const BiasActCall& call, const F& f) {
  with_activation(call.act, [&](auto act) {
    if (call.type == ElementType::kFloat64) return f(act, double());
    f(act, float());
  });
}

}  // namespace

void bias_act_forward_cpu(const BiasActCall& call, const void* x, const void* bias, void* y) {
  dispatch(call, [&](auto act, auto zero) {
    using T = decltype(zero);
    forward<decltype(act)::value>(call, static_cast<const T*>(x), static_cast<const T*>(bias),
                                  static_cast<T*>(y));
  });
}

void bias_act_gradient_cpu(const BiasActCall& call, const void* dy, const void* reference,
                           const void* bias, void* dx, void* db) {
  dispatch(call, [&](auto act, auto zero) {
    using T = decltype(zero);
    const bool channel_last = Tiling(call).channel_last;
    const auto body = channel_last ? gradient_channel_last<decltype(act)::value, T>
                                   : gradient_rows<decltype(act)::value, T>;
    body(call, static_cast<const T*>(dy), static_cast<const T*>(reference),
         static_cast<const T*>(bias), static_cast<T*>(dx), static_cast<T*>(db));
  });
}

void bias_act_curvature_cpu(const BiasActCall& call, const void* dy, const void* e,
                            const void* reference, const void* bias, void* h) {
  dispatch(call, [&](auto act, auto zero) {
    using T = decltype(zero);
    curvature<decltype(act)::value>(call, static_cast<const T*>(dy), static_cast<const T*>(e),
                                    static_cast<const T*>(reference), static_cast<const T*>(bias),
                                    static_cast<T*>(h));
  });
}

}  // namespace galette
