// SPDX-License-Identifier: Apache-2.0
// What the CPU bodies of line_decoder keep: packed weights, sums of gradients, values of a tile.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/line_decoder_math.h"
#include "kernels/tile_product.h"

namespace galette {

/// Pixels of a tile: a multiple of the six rows of a block; its values fit into the second cache.
constexpr int64_t kTilePixels = 48;

/// One set of weights in panels, once for W x and once for its transpose, and padded biases.
template <typename T, int Bytes>
struct DecoderWeights {
  using S = Simd<T, Bytes>;
  struct Layer {
    AlignedBuffer<T> forward, backward, bias;
  };
  std::vector<Layer> layers;

  DecoderWeights(const LineDecoderCall& call, const T* parameters) {
    for (const DecoderLayerShape& shape : call.layers) {
      const int64_t in = shape.in, out = shape.out;
      const T* const weight = parameters + shape.weight_at;
      Layer layer{AlignedBuffer<T>(in * S::padded(out)), AlignedBuffer<T>(out * S::padded(in)),
                  AlignedBuffer<T>(S::padded(out))};
      for (int64_t o = 0; o < out; ++o) {
        for (int64_t i = 0; i < in; ++i) {
          layer.forward.data()[at(i, o, in)] = weight[o * in + i];
          layer.backward.data()[at(o, i, out)] = weight[o * in + i];
        }
      }
      std::copy_n(parameters + shape.bias_at, out, layer.bias.data());
      layers.push_back(std::move(layer));
    }
  }

 private:
  /// Of element (row, column) of a matrix of `rows` rows.
  static int64_t at(int64_t row, int64_t column, int64_t rows) {
    return column / S::kPanel * rows * S::kPanel + row * S::kPanel + column % S::kPanel;
  }
};

/// Gradients of a set of parameters, summed over tiles: of each layer the weight, rows padded to
/// whole panels, and the bias.
template <typename T, int Bytes>
struct DecoderSums {
  using S = Simd<T, Bytes>;
  struct Layer {
    AlignedBuffer<T> weight, bias;
  };
  std::vector<Layer> layers;

  explicit DecoderSums(const LineDecoderCall& call) {
    for (const DecoderLayerShape& shape : call.layers) {
      layers.push_back({AlignedBuffer<T>(shape.out * S::padded(shape.in)),
                        AlignedBuffer<T>(S::padded(shape.out))});
    }
  }
  void add_to(const LineDecoderCall& call, T* parameters) const {
    for (size_t k = 0; k < layers.size(); ++k) {
      const DecoderLayerShape& shape = call.layers[k];
      for (int64_t o = 0; o < shape.out; ++o) {
        const T* const from = layers[k].weight.data() + o * S::padded(shape.in);
        T* const to = parameters + shape.weight_at + o * shape.in;
        for (int64_t i = 0; i < shape.in; ++i) to[i] += from[i];
        parameters[shape.bias_at + o] += layers[k].bias.data()[o];
      }
    }
  }
};

/// Values of all pixels of a tile in the channels of one level.
template <typename T, int Bytes>
struct TileLevel {
  using S = Simd<T, Bytes>;
  int64_t channels, padded, stride;
  AlignedBuffer<T> buffer;

  explicit TileLevel(int64_t c)
      // One more panel, so that the pixels do not all fall into the same sets of the cache.
      : channels(c),
        padded(S::padded(c)),
        stride(padded + S::kPanel),
        buffer(kTilePixels * stride) {}
  T* at(int64_t pixel, int64_t channel = 0) const {
    return buffer.data() + pixel * stride + channel;
  }
  StridedMatrix<T> by_pixel() const { return {at(0), stride, 1}; }
  StridedMatrix<T> by_channel() const { return {at(0), 1, stride}; }
  PanelMatrix<T> panels() const { return {at(0), S::kPanel, stride}; }
};

/// Where a tile lies: pixels [first, first + count) of a sample.
struct TilePlace {
  int64_t sample, first, count;
};

}  // namespace galette
