// SPDX-License-Identifier: Apache-2.0
// CPU bodies of conv2d_3x3. Rows of tiles are cut into strips, and strips gathered into blocks that
// fit into the caches. Of a block, all tiles are transformed, for each of the 36 numbers of a tile
// the tiles' channels are multiplied by a matrix, and the results are transformed back. Inside,
// channels are the innermost axis, so that a vector is some channels of one pixel. Results do not
// depend on the number of threads.
#include <algorithm>
#include <atomic>
#include <vector>

#include "kernels/conv2d_3x3.h"
#include "kernels/threads.h"
#include "kernels/winograd_tile.h"

namespace galette {
namespace {

constexpr int64_t kStripTiles = 24;  ///< at most, along a row
constexpr int64_t kBlockTiles = 48;  ///< at most; a multiple of the rows of a product's block
/// Added to distances that otherwise may be large powers of two, whose multiples the caches keep in
/// few places.
constexpr int64_t kLine = 16;
constexpr int64_t kStripPixels = kStripTiles * kWinogradOut + 2;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/// Images of some channels, of which a strip reads or writes a part. Outside they are zero.
template <typename T>
struct Planes {
  T* data;
  int64_t channels, height, width;
};

/// Some tiles side by side.
struct Strip {
  int64_t sample, y, x;  ///< the first pixel of the output
  int64_t tiles;
};

/// How the output is cut into strips, and these into blocks.
class Blocks {
 public:
  explicit Blocks(const Conv3x3Call& call)
      : tile_rows_(ceil_div(call.out_height(), kWinogradOut)),
        row_tiles_(ceil_div(call.out_width(), kWinogradOut)),
        row_strips_(ceil_div(row_tiles_, kStripTiles)),
        strips_(call.samples * tile_rows_ * row_strips_),
        block_strips_(std::clamp<int64_t>(kBlockTiles / std::min(row_tiles_, kStripTiles), 1,
                                          ceil_div(strips_, at::get_num_threads()))) {}

  int64_t count() const { return ceil_div(strips_, block_strips_); }
  std::vector<Strip> operator[](int64_t block) const {
    std::vector<Strip> result;
    const int64_t end = std::min(strips_, (block + 1) * block_strips_);
    for (int64_t i = block * block_strips_; i < end; ++i) result.push_back(strip(i));
    return result;
  }

 private:
  Strip strip(int64_t i) const {
    const int64_t row = i / row_strips_, first = i % row_strips_ * kStripTiles;
    return {row / tile_rows_, row % tile_rows_ * kWinogradOut, first * kWinogradOut,
            std::min(kStripTiles, row_tiles_ - first)};
  }

  int64_t tile_rows_, row_tiles_, row_strips_, strips_, block_strips_;
};

int64_t tiles_of(const std::vector<Strip>& strips) {
  int64_t n = 0;
  for (const Strip& strip : strips) n += strip.tiles;
  return n;
}

/// The 36 numbers of each tile of a block: number e of tile t is a row of `padded` channels.
template <int Bytes>
class TileNumbers {
  using Numbers = AlignedBuffer<float>;

 public:
  TileNumbers(int64_t tiles, int64_t channels)
      : padded_(Simd<float, Bytes>::padded(channels) + kLine),
        plane_(tiles * padded_ + kLine),
        numbers_(kWinogradProducts * plane_, Numbers::undefined) {}
  float* at(int64_t e, int64_t tile) const { return numbers_.data() + e * plane_ + tile * padded_; }
  int64_t padded() const { return padded_; }
  int64_t plane() const { return plane_; }

 private:
  int64_t padded_, plane_;
  Numbers numbers_;
};

/// Moves strips of some channels between images and numbers of tiles.
template <int Bytes>
class StripTransform {
  using W = Winograd<Bytes>;
  using S = Simd<float, Bytes>;
  using Vector = typename S::Vector;
  static constexpr int64_t kLanes = S::kLanes;
  static constexpr int64_t kColumn = kLanes;                    ///< from a pixel to the next
  static constexpr int64_t kRow = (kStripPixels + 2) * kLanes;  ///< from a row to the next

 public:
  StripTransform() : pixels_(kWinogradIn * kRow), between_(kWinogradIn * kRow) {}

  /// B' d B of the tiles of a strip, for the padded convolution.
  GALETTE_FORCE_INLINE void forward(const Planes<const float>& image, const Strip& strip,
                                    int64_t pad_y, int64_t pad_x, const TileNumbers<Bytes>& to,
                                    int64_t tile) {
    const int64_t columns = strip.tiles * kWinogradOut + 2;
    for (int64_t c = 0; c < image.channels; c += kLanes) {
      read(image, strip, pad_y, pad_x, c, kWinogradIn, columns);
      for (int64_t x = 0; x < columns; ++x) W::input(pixels(0, x), kRow, between(0, x), kRow);
      for (int64_t t = 0; t < strip.tiles; ++t)
        for (int64_t i = 0; i < kWinogradIn; ++i)
          W::input(between(i, t * kWinogradOut), kColumn, to.at(i * kWinogradIn, tile + t) + c,
                   to.plane());
    }
  }

  /// A y A' of the tiles of a strip: how their sums change with the image.
  GALETTE_FORCE_INLINE void gradient(const Planes<const float>& image, const Strip& strip,
                                     const TileNumbers<Bytes>& to, int64_t tile) {
    const int64_t columns = strip.tiles * kWinogradOut;
    for (int64_t c = 0; c < image.channels; c += kLanes) {
      read(image, strip, 0, 0, c, kWinogradOut, columns);
      for (int64_t x = 0; x < columns; ++x)
        W::output_gradient(pixels(0, x), kRow, between(0, x), kRow);
      for (int64_t t = 0; t < strip.tiles; ++t)
        for (int64_t i = 0; i < kWinogradIn; ++i)
          W::output_gradient(between(i, t * kWinogradOut), kColumn,
                             to.at(i * kWinogradIn, tile + t) + c, to.plane());
    }
  }

  /// A' m A: the pixels of a strip of the sums of its tiles.
  GALETTE_FORCE_INLINE void back(const TileNumbers<Bytes>& from, int64_t tile, const Strip& strip,
                                 const Planes<float>& image) {
    for (int64_t c = 0; c < image.channels; c += kLanes) {
      for (int64_t t = 0; t < strip.tiles; ++t) {
        for (int64_t i = 0; i < kWinogradIn; ++i)
          W::output(from.at(i * kWinogradIn, tile + t) + c, from.plane(),
                    between(i, t * kWinogradOut), kColumn);
        for (int64_t j = 0; j < kWinogradOut; ++j)
          W::output(between(0, t * kWinogradOut + j), kRow, pixels(0, t * kWinogradOut + j), kRow);
      }
      write(strip, c, image);
    }
  }

 private:
  float* pixels(int64_t row, int64_t column) const {
    return pixels_.data() + row * kRow + column * kColumn;
  }
  float* between(int64_t row, int64_t column) const {
    return between_.data() + row * kRow + column * kColumn;
  }

  GALETTE_FORCE_INLINE void read(const Planes<const float>& image, const Strip& strip,
                                 int64_t pad_y, int64_t pad_x, int64_t c, int64_t rows,
                                 int64_t columns) {
    const int64_t lanes = std::min(kLanes, image.channels - c);
    const int64_t first = strip.x - pad_x;
    const int64_t begin = std::clamp<int64_t>(-first, 0, columns),
                  end = std::clamp<int64_t>(image.width - first, begin, columns);
    const float* const plane =
        image.data + (strip.sample * image.channels + c) * image.height * image.width;
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t y = strip.y - pad_y + row;
      const bool inside = y >= 0 && y < image.height;
      const int64_t from = inside ? begin : columns, to = inside ? end : columns;
      std::fill_n(pixels(row, 0), from * kLanes, 0.0F);
      if (inside) {
        const float* const line = plane + y * image.width + first;
        gather(line, image.height * image.width, lanes, row, from, to);
      }
      std::fill_n(pixels(row, to), (columns - to) * kLanes, 0.0F);
    }
  }

  /// Columns [x, end) of a row of some planes.
  GALETTE_FORCE_INLINE void gather(const float* line, int64_t plane, int64_t lanes, int64_t row,
                                   int64_t x, int64_t end) {
    if (lanes == kLanes) {
      for (; x + kLanes <= end; x += kLanes) {
        Vector square[kLanes];
#pragma GCC unroll 16
        for (int64_t i = 0; i < kLanes; ++i) S::load(square[i], line + i * plane + x);
        transpose<Bytes>(square);
#pragma GCC unroll 16
        for (int64_t i = 0; i < kLanes; ++i) S::store(pixels(row, x + i), square[i]);
      }
    }
    for (; x < end; ++x) {
      float* const to = pixels(row, x);
      for (int64_t i = 0; i < lanes; ++i) to[i] = line[i * plane + x];
      std::fill(to + lanes, to + kLanes, 0.0F);
    }
  }

  GALETTE_FORCE_INLINE void write(const Strip& strip, int64_t c, const Planes<float>& image) {
    const int64_t lanes = std::min(kLanes, image.channels - c);
    const int64_t rows = std::min(kWinogradOut, image.height - strip.y);
    const int64_t columns = std::min(strip.tiles * kWinogradOut, image.width - strip.x);
    const int64_t plane = image.height * image.width;
    float* const first =
        image.data + (strip.sample * image.channels + c) * plane + strip.y * image.width + strip.x;
    for (int64_t row = 0; row < rows; ++row) {
      float* const line = first + row * image.width;
      int64_t x = 0;
      for (; lanes == kLanes && x + kLanes <= columns; x += kLanes) {
        Vector square[kLanes];
#pragma GCC unroll 16
        for (int64_t i = 0; i < kLanes; ++i) S::load(square[i], pixels(row, x + i));
        transpose<Bytes>(square);
#pragma GCC unroll 16
        for (int64_t i = 0; i < kLanes; ++i) S::store(line + i * plane + x, square[i]);
      }
      for (; x < columns; ++x)
        for (int64_t i = 0; i < lanes; ++i) line[i * plane + x] = pixels(row, x)[i];
    }
  }

  AlignedBuffer<float> pixels_, between_;
};

/// G g G' of all filters: for each of the 36 numbers a matrix of in x out channels, in panels.
template <int Bytes>
class FilterNumbers {
  using W = Winograd<Bytes>;
  using S = Simd<float, Bytes>;
  static constexpr int64_t kLanes = S::kLanes;
  static constexpr int64_t kTaps = 9;

 public:
  explicit FilterNumbers(const Conv3x3Call& call)
      : in_(call.in),
        out_(call.out),
        is_turned_(call.is_turned),
        panel_(in_ * S::kPanel),
        plane_(S::padded(out_) / S::kPanel * panel_ + kLine),
        numbers_(kWinogradProducts * plane_, AlignedBuffer<float>::undefined) {}

  PanelMatrix<float> matrix(int64_t e) const {
    return {numbers_.data() + e * plane_, panel_, S::kPanel};
  }
  int64_t groups() const { return S::padded(out_) / kLanes; }

  /// Transforms the filters of a group of output channels.
  GALETTE_FORCE_INLINE void set_group(int64_t group, const float* weight) {
    float taps[kTaps * kLanes] = {}, rows[18 * kLanes];
    const int64_t o = group * kLanes, lanes = std::min(kLanes, out_ - o);
    for (int64_t i = 0; i < in_; ++i) {
      for (int64_t k = 0; k < kTaps; ++k)
        for (int64_t lane = 0; lane < lanes; ++lane)
          taps[k * kLanes + lane] = weight[tap(o + lane, i, k)];
      for (int64_t x = 0; x < 3; ++x)
        W::filter(taps + x * kLanes, 3 * kLanes, rows + x * kLanes, 3 * kLanes);
      float* const to = numbers_.data() + o / S::kPanel * panel_ + i * S::kPanel + o % S::kPanel;
      for (int64_t e = 0; e < kWinogradIn; ++e)
        W::filter(rows + e * 3 * kLanes, kLanes, to + e * kWinogradIn * plane_, plane_);
    }
  }

 private:
  /// Where tap k of the filter from channel i to channel o is given.
  GALETTE_FORCE_INLINE int64_t tap(int64_t o, int64_t i, int64_t k) const {
    return is_turned_ ? (i * out_ + o) * kTaps + kTaps - 1 - k : (o * in_ + i) * kTaps + k;
  }

  int64_t in_, out_;
  bool is_turned_;
  int64_t panel_, plane_;
  AlignedBuffer<float> numbers_;
};

/// The sums over tiles of products of their numbers, from which the weights' gradients follow.
template <int Bytes>
class FilterSums {
  using W = Winograd<Bytes>;
  using S = Simd<float, Bytes>;
  using Vector = typename S::Vector;
  static constexpr int64_t kLanes = S::kLanes;
  static constexpr int64_t kTaps = 9;

 public:
  FilterSums(int64_t in, int64_t out)
      : in_(in),
        out_(out),
        padded_(S::padded(out)),
        plane_(in * padded_ + kLine),
        sums_(kWinogradProducts * plane_) {}
  int64_t groups() const { return S::padded(out_) / kLanes; }
  int64_t panels() const { return padded_ / S::kPanel; }

  /// Adds the products of a block's tiles, number e, of a panel of output channels.
  GALETTE_FORCE_INLINE void add(int64_t e, int64_t panel, const TileNumbers<Bytes>& x,
                                const TileNumbers<Bytes>& dy, int64_t tiles) {
    float* const sums = sums_.data() + e * plane_ + panel * S::kPanel;
    tile_product<Bytes>(
        StridedMatrix<float>{x.at(e, 0), 1, x.padded()},
        PanelMatrix<float>{dy.at(e, 0) + panel * S::kPanel, S::kPanel, dy.padded()}, in_, S::kPanel,
        tiles,
        [&](Vector& sum, int64_t m, int64_t n)
            GALETTE_FORCE_INLINE { S::load(sum, sums + m * padded_ + n); },
        [&](Vector& sum, int64_t m, int64_t n)
            GALETTE_FORCE_INLINE { S::store(sums + m * padded_ + n, sum); });
  }

  /// G' u G for a group of output channels.
  GALETTE_FORCE_INLINE void write_group(int64_t group, float* dweight) const {
    float taps[kTaps * kLanes], rows[18 * kLanes];
    const int64_t o = group * kLanes, lanes = std::min(kLanes, out_ - o);
    for (int64_t i = 0; i < in_; ++i) {
      const float* const from = sums_.data() + i * padded_ + o;
      for (int64_t e = 0; e < kWinogradIn; ++e)
        W::filter_gradient(from + e * kWinogradIn * plane_, plane_, rows + e * 3 * kLanes, kLanes);
      for (int64_t x = 0; x < 3; ++x)
        W::filter_gradient(rows + x * kLanes, 3 * kLanes, taps + x * kLanes, 3 * kLanes);
      for (int64_t k = 0; k < kTaps; ++k)
        for (int64_t lane = 0; lane < lanes; ++lane)
          dweight[((o + lane) * in_ + i) * kTaps + k] = taps[k * kLanes + lane];
    }
  }

 private:
  int64_t in_, out_, padded_, plane_;
  AlignedBuffer<float> sums_;
};

/// Threads call body(i) for the next i below `count`, until none is left; `Worker` is a thread's
/// own.
template <class Worker, int Bytes, class Make, class Body>
void share(int64_t count, const Make& make, const Body& body) {
  std::atomic<int64_t> next{0};
  at::parallel_for(0, std::min<int64_t>(count, at::get_num_threads()), 1, [&](int64_t, int64_t) {
    Worker worker = make();
    run_vectors_of<Bytes>([&]() GALETTE_FORCE_INLINE {
      for (int64_t i = next++; i < count; i = next++) body(worker, i);
    });
  });
}

struct Nothing {};

/// What a thread needs to convolve a block.
template <int Bytes>
struct BlockWorker {
  explicit BlockWorker(const Conv3x3Call& call)
      : numbers(kBlockTiles, call.in), sums(kBlockTiles, call.out) {}
  StripTransform<Bytes> transform;
  TileNumbers<Bytes> numbers, sums;
};

template <int Bytes>
void convolve(const Conv3x3Call& call, const float* x, const float* weight, float* y) {
  using S = Simd<float, Bytes>;
  using Vector = typename S::Vector;
  FilterNumbers<Bytes> filters(call);
  share<Nothing, Bytes>(
      filters.groups(), [] { return Nothing(); },
      [&](Nothing&, int64_t group) GALETTE_FORCE_INLINE { filters.set_group(group, weight); });
  const Planes<const float> source{x, call.in, call.height, call.width};
  const Planes<float> target{y, call.out, call.out_height(), call.out_width()};
  const Blocks blocks(call);
  share<BlockWorker<Bytes>, Bytes>(
      blocks.count(), [&] { return BlockWorker<Bytes>(call); },
      [&](BlockWorker<Bytes>& w, int64_t block) GALETTE_FORCE_INLINE {
        const std::vector<Strip> strips = blocks[block];
        const int64_t tiles = tiles_of(strips);
        int64_t tile = 0;
        for (const Strip& strip : strips) {
          w.transform.forward(source, strip, call.pad_y, call.pad_x, w.numbers, tile);
          tile += strip.tiles;
        }
        for (int64_t e = 0; e < kWinogradProducts; ++e) {
          float* const sums = w.sums.at(e, 0);
          const int64_t row = w.sums.padded();
          tile_product<Bytes>(
              StridedMatrix<float>{w.numbers.at(e, 0), w.numbers.padded(), 1}, filters.matrix(e),
              tiles, call.out, call.in,
              [](Vector& sum, int64_t, int64_t) GALETTE_FORCE_INLINE { sum = Vector{}; },
              [&](Vector& sum, int64_t m, int64_t n)
                  GALETTE_FORCE_INLINE { S::store(sums + m * row + n, sum); });
        }
        tile = 0;
        for (const Strip& strip : strips) {
          w.transform.back(w.sums, tile, strip, target);
          tile += strip.tiles;
        }
      });
}

/// Blocks whose tiles are transformed before their products are summed, by all threads together.
constexpr int64_t kBlocksAtOnce = 4;

template <int Bytes>
void weight_gradient(const Conv3x3Call& call, const float* x, const float* dy, float* dweight) {
  const Planes<const float> source{x, call.in, call.height, call.width};
  const Planes<const float> slopes{dy, call.out, call.out_height(), call.out_width()};
  const Blocks blocks(call);
  const int64_t at_once = std::min(kBlocksAtOnce, blocks.count());
  const TileNumbers<Bytes> values(at_once * kBlockTiles, call.in),
      gradients(at_once * kBlockTiles, call.out);
  FilterSums<Bytes> sums(call.in, call.out);
  for (int64_t first = 0; first < blocks.count(); first += at_once) {
    std::vector<Strip> strips;
    for (int64_t b = first; b < std::min(blocks.count(), first + at_once); ++b)
      for (const Strip& strip : blocks[b]) strips.push_back(strip);
    std::vector<int64_t> places{0};
    for (const Strip& strip : strips) places.push_back(places.back() + strip.tiles);
    share<StripTransform<Bytes>, Bytes>(
        static_cast<int64_t>(strips.size()), [] { return StripTransform<Bytes>(); },
        [&](StripTransform<Bytes>& transform, int64_t i) GALETTE_FORCE_INLINE {
          transform.forward(source, strips[i], call.pad_y, call.pad_x, values, places[i]);
          transform.gradient(slopes, strips[i], gradients, places[i]);
        });
    share<Nothing, Bytes>(
        kWinogradProducts * sums.panels(), [] { return Nothing(); },
        [&](Nothing&, int64_t i) GALETTE_FORCE_INLINE {
          sums.add(i / sums.panels(), i % sums.panels(), values, gradients, places.back());
        });
  }
  share<Nothing, Bytes>(
      sums.groups(), [] { return Nothing(); },
      [&](Nothing&, int64_t group) GALETTE_FORCE_INLINE { sums.write_group(group, dweight); });
}

}  // namespace

void conv3x3_cpu(const Conv3x3Call& call, const float* x, const float* weight, float* y) {
  with_vector_bytes([&](auto bytes) { convolve<bytes>(call, x, weight, y); });
}

void conv3x3_weight_gradient_cpu(const Conv3x3Call& call, const float* x, const float* dy,
                                 float* dweight) {
  with_vector_bytes([&](auto bytes) { weight_gradient<bytes>(call, x, dy, dweight); });
}

}  // namespace galette
