// SPDX-License-Identifier: Apache-2.0
// The layers of line_decoder for a tile of pixels on the CPU. A tile's values are stored pixel by
// pixel, channels padded to whole panels: so all products of the forward and backward passes read
// what earlier ones wrote, and no weight or activation is transposed on the way.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/line_decoder_storage.h"
#include "kernels/row_sum.h"

namespace galette {

/// What a layer does to its sums, in vectors.
template <typename T, int Bytes>
struct LayerSlopes {
  using Vector = typename Simd<T, Bytes>::Vector;
  Vector above, below, clamp;

  GALETTE_FORCE_INLINE explicit LayerSlopes(const DecoderLayerShape& shape)
      : above(Vector{} + static_cast<T>(shape.gain)),
        below(Vector{} + static_cast<T>(shape.gain * shape.slope)),
        clamp(Vector{} + static_cast<T>(shape.clamp)) {}
  GALETTE_FORCE_INLINE void activate(Vector& v) const {
    v *= v > 0 ? above : below;
    v = v < -clamp ? -clamp : v;
    v = v > clamp ? clamp : v;
  }
  /// v times the derivative where the layer's result is y.
  GALETTE_FORCE_INLINE void differentiate(Vector& v, const Vector& y) const {
    v *= y > 0 ? above : below;
    // One comparison with the clamp: two, GCC 12 combines, and for AVX-512 takes the combination
    // apart element by element.
    const Vector magnitude = y < 0 ? -y : y;
    v = magnitude >= clamp ? Vector{} : v;
  }
};

template <typename T, int Bytes>
class DecoderTile {
  using S = Simd<T, Bytes>;
  using Vector = typename S::Vector;
  using Level = TileLevel<T, Bytes>;
  using Slopes = LayerSlopes<T, Bytes>;
  using Weights = DecoderWeights<T, Bytes>;
  using Sums = DecoderSums<T, Bytes>;

 public:
  explicit DecoderTile(const LineDecoderCall& call)
      : call_(call), scratch_(call.channels(0) * kTilePixels), image_(call.channels_out()) {
    for (int64_t level = 0; level <= call.chain(); ++level) add_level(call.channels(level));
    for (int64_t head = 0; head < call.heads; ++head) add_level(call.channels_out());
  }

  GALETTE_FORCE_INLINE void forward(const TilePlace& tile, const LineDecoderInputs& in,
                                    const Weights& weights, T* y) {
    run_layers(tile, in, weights);
    write(total(values_, tile), tile, y);
  }

  /// Writes ds and adds to `sums` unless it is null.
  GALETTE_FORCE_INLINE void gradient(const TilePlace& tile, const LineDecoderInputs& in,
                                     const Weights& weights, const T* dy, T* ds, const Sums* sums) {
    run_layers(tile, in, weights);
    back_propagate(tile, weights, dy);
    for (size_t k = 0; sums != nullptr && k < call_.layers.size(); ++k) {
      add_weight_gradient(*sums, k, values_[call_.layers[k].level], tile.count);
      add_bias_gradient(*sums, k, tile.count);
    }
    write(slopes_[0], tile, ds);
  }

  /// Writes e_dy and adds the cotangents of the weights to `sums` unless it is null.
  GALETTE_FORCE_INLINE void curvature(const TilePlace& tile, const LineDecoderInputs& in,
                                      const Weights& weights, const T* dy, const T* e, T* e_dy,
                                      const Sums* sums) {
    run_layers(tile, in, weights);
    back_propagate(tile, weights, dy);
    read(tangents_[0], tile, e);
    for (size_t k = 0; k < call_.layers.size(); ++k) {
      const Level& from = tangents_[call_.layers[k].level];
      if (sums != nullptr) add_weight_gradient(*sums, k, from, tile.count);
      const Level &to = tangents_[k + 1], &value = values_[k + 1];
      const Slopes slopes(call_.layers[k]);
      tile_product<Bytes>(
          from.by_pixel(), packed(weights.layers[k].forward.data(), from), tile.count, to.padded,
          from.channels, [](Vector& sum, int64_t, int64_t) GALETTE_FORCE_INLINE { sum = Vector{}; },
          [&](Vector& sum, int64_t m, int64_t n) GALETTE_FORCE_INLINE {
            Vector y;
            S::load(y, value.at(m, n));
            slopes.differentiate(sum, y);
            S::store(to.at(m, n), sum);
          });
    }
    write(total(tangents_, tile), tile, e_dy);
  }

 private:
  /// Level k + 1 holds what belongs to layer k, of the chain or a head.
  void add_level(int64_t channels) {
    values_.emplace_back(channels);
    slopes_.emplace_back(channels);
    tangents_.emplace_back(channels);
  }

  GALETTE_FORCE_INLINE void run_layers(const TilePlace& tile, const LineDecoderInputs& in,
                                       const Weights& weights) {
    sum_lines(tile, in);
    for (size_t k = 0; k < call_.layers.size(); ++k) {
      const Level &from = values_[call_.layers[k].level], &to = values_[k + 1];
      const T* const bias = weights.layers[k].bias.data();
      const Slopes slopes(call_.layers[k]);
      tile_product<Bytes>(
          from.by_pixel(), packed(weights.layers[k].forward.data(), from), tile.count, to.padded,
          from.channels,
          [&](Vector& sum, int64_t, int64_t n) GALETTE_FORCE_INLINE { S::load(sum, bias + n); },
          [&](Vector& sum, int64_t m, int64_t n) GALETTE_FORCE_INLINE {
            slopes.activate(sum);
            S::store(to.at(m, n), sum);
          });
    }
  }

  /// The result: the sum of the heads, or the end of the chain.
  GALETTE_FORCE_INLINE const Level& total(const std::vector<Level>& levels, const TilePlace& tile) {
    const int64_t first = call_.chain() + 1;
    if (call_.heads == 0) return levels.back();
    for (int64_t p = 0; p < tile.count; ++p) {
      for (int64_t c = 0; c < image_.padded; c += S::kLanes) {
        Vector sum{};
        for (int64_t head = 0; head < call_.heads; ++head) {
          Vector v;
          S::load(v, levels[first + head].at(p, c));
          sum += v;
        }
        S::store(image_.at(p, c), sum);
      }
    }
    return image_;
  }

  /// The gradients with respect to the sums of all layers, and to the sum of lines.
  GALETTE_FORCE_INLINE void back_propagate(const TilePlace& tile, const Weights& weights,
                                           const T* dy) {
    const auto layers = static_cast<int64_t>(call_.layers.size());
    for (int64_t k = call_.heads == 0 ? layers - 1 : call_.chain(); k < layers; ++k) {
      read(slopes_[k + 1], tile, dy);
      differentiate(k, tile);
    }
    for (int64_t level = call_.heads == 0 ? call_.chain() - 1 : call_.chain(); level >= 0;
         --level) {
      int64_t left = std::count_if(call_.layers.begin(), call_.layers.end(),
                                   [&](const auto& layer) { return layer.level == level; });
      bool begun = false;
      for (int64_t k = 0; left > 0; ++k) {
        if (call_.layers[k].level != level) continue;
        lead_back(k, tile, weights, begun, --left == 0 && level > 0);
        begun = true;
      }
    }
  }

  /// From the sums of layer k to the level that it acts on: sets that or adds to it, and leads it
  /// on to the sums that the level is the result of.
  GALETTE_FORCE_INLINE void lead_back(int64_t k, const TilePlace& tile, const Weights& weights,
                                      bool add, bool differentiates) {
    const int64_t level = call_.layers[k].level;
    const Level &from = slopes_[k + 1], &to = slopes_[level], &value = values_[level];
    const Slopes slopes(call_.layers[level > 0 ? level - 1 : 0]);
    tile_product<Bytes>(
        from.by_pixel(), packed(weights.layers[k].backward.data(), from), tile.count, to.padded,
        from.channels,
        [&](Vector& sum, int64_t m, int64_t n) GALETTE_FORCE_INLINE {
          sum = Vector{};
          if (add) S::load(sum, to.at(m, n));
        },
        [&](Vector& sum, int64_t m, int64_t n) GALETTE_FORCE_INLINE {
          if (differentiates) {
            Vector y;
            S::load(y, value.at(m, n));
            slopes.differentiate(sum, y);
          }
          S::store(to.at(m, n), sum);
        });
  }

  /// From the result of layer k to its sums.
  GALETTE_FORCE_INLINE void differentiate(int64_t k, const TilePlace& tile) {
    const Level &value = values_[k + 1], &slope = slopes_[k + 1];
    const Slopes slopes(call_.layers[k]);
    for (int64_t p = 0; p < tile.count; ++p) {
      for (int64_t c = 0; c < value.padded; c += S::kLanes) {
        Vector v, y;
        S::load(v, slope.at(p, c));
        S::load(y, value.at(p, c));
        slopes.differentiate(v, y);
        S::store(slope.at(p, c), v);
      }
    }
  }

  /// Panels of a packed matrix that multiplies the values of `level`.
  GALETTE_FORCE_INLINE static PanelMatrix<T> packed(const T* matrix, const Level& level) {
    return {matrix, level.channels * S::kPanel, S::kPanel};
  }

  GALETTE_FORCE_INLINE void add_weight_gradient(const Sums& sums, size_t layer, const Level& input,
                                                int64_t count) const {
    const Level& slope = slopes_[layer + 1];
    T* const weight = sums.layers[layer].weight.data();
    tile_product<Bytes>(
        slope.by_channel(), input.panels(), slope.channels, input.padded, count,
        [&](Vector& sum, int64_t m, int64_t n)
            GALETTE_FORCE_INLINE { S::load(sum, weight + m * input.padded + n); },
        [&](Vector& sum, int64_t m, int64_t n)
            GALETTE_FORCE_INLINE { S::store(weight + m * input.padded + n, sum); });
  }

  GALETTE_FORCE_INLINE void add_bias_gradient(const Sums& sums, size_t layer, int64_t count) const {
    const Level& slope = slopes_[layer + 1];
    T* const bias = sums.layers[layer].bias.data();
    for (int64_t c = 0; c < slope.padded; c += S::kLanes) {
      Vector total;
      S::load(total, bias + c);
      for (int64_t p = 0; p < count; ++p) {
        Vector v;
        S::load(v, slope.at(p, c));
        total += v;
      }
      S::store(bias + c, total);
    }
  }

  /// x + rows columns / 2.
  GALETTE_FORCE_INLINE void sum_lines(const TilePlace& tile, const LineDecoderInputs& in) {
    const int64_t channels = call_.channels(0);
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t plane = tile.sample * channels + c;
      for (int64_t done = 0; done < tile.count;) {
        const int64_t pixel = tile.first + done;
        const int64_t length = std::min(call_.width - pixel % call_.width, tile.count - done);
        sum_piece(in, plane, pixel, length, scratch_.data() + c * kTilePixels + done);
        done += length;
      }
    }
    to_pixels(scratch_.data(), kTilePixels, values_[0], tile.count);
  }

  /// The same for pixels of one row.
  GALETTE_FORCE_INLINE void sum_piece(const LineDecoderInputs& in, int64_t plane, int64_t pixel,
                                      int64_t length, T* out) {
    const int64_t y = pixel / call_.width, x = pixel % call_.width;
    const T* const row = static_cast<const T*>(in.rows) + (plane * call_.height + y) * call_.rank;
    const T* const columns =
        static_cast<const T*>(in.columns) + plane * call_.rank * call_.width + x;
    pieces_.clear();
    factors_.clear();
    if (in.x != nullptr) {
      pieces_.push_back(static_cast<const T*>(in.x) + plane * call_.pixels() + pixel);
      factors_.push_back(T(1));
    }
    for (int64_t q = 0; q < call_.rank; ++q) {
      pieces_.push_back(columns + q * call_.width);
      factors_.push_back(row[q] * T(0.5));
    }
    constexpr int64_t kNoOffset = 0;
    const RowTerms<T> terms{pieces_.data(), static_cast<int64_t>(pieces_.size()), &kNoOffset, 1,
                            factors_.data()};
    row_sum(out, terms, T(0), length);
  }

  /// Pixels [channels, pixels of the sample] of the whole image, from and to a level of the tile.
  GALETTE_FORCE_INLINE void read(const Level& level, const TilePlace& tile, const T* image) const {
    to_pixels(image + tile.sample * level.channels * call_.pixels() + tile.first, call_.pixels(),
              level, tile.count);
  }
  GALETTE_FORCE_INLINE void write(const Level& level, const TilePlace& tile, T* image) const {
    T* const out = image + tile.sample * level.channels * call_.pixels() + tile.first;
    for (int64_t c = 0; c < level.channels; ++c)
      for (int64_t p = 0; p < tile.count; ++p) out[c * call_.pixels() + p] = *level.at(p, c);
  }
  GALETTE_FORCE_INLINE static void to_pixels(const T* channels, int64_t stride, const Level& level,
                                             int64_t count) {
    for (int64_t c = 0; c < level.channels; ++c)
      for (int64_t p = 0; p < count; ++p) *level.at(p, c) = channels[c * stride + p];
  }

  const LineDecoderCall& call_;
  AlignedBuffer<T> scratch_;     ///< the sum of lines, channel by channel
  Level image_;                  ///< the sum of the heads
  std::vector<Level> values_;    ///< sum of lines and results of the layers
  std::vector<Level> slopes_;    ///< gradients with respect to the sums before the activations
  std::vector<Level> tangents_;  ///< cotangents of gradients
  std::vector<const T*> pieces_;
  std::vector<T> factors_;
};

}  // namespace galette
