// SPDX-License-Identifier: Apache-2.0
// The layers of line_decoder for a tile of pixels, by a block of threads that keeps the tile in its
// shared memory. Written against two policies, so that the same code runs on the device and, in a
// test, on the host:
//
//   Execution  phase(f) runs f(worker) on all warps of the block and then waits for them all; a
//              worker has its warp and warps, lane and lanes, and waits for its own with sync()
//   Product    sums of products, of 16x16 elements each: by tensor cores, or one by one
//
// No phase reads what another warp writes in it, so the order of warps does not matter.
#pragma once

#include "kernels/line_decoder_plan.h"

#ifdef __CUDACC__
#define GALETTE_BLOCK __device__ __forceinline__
#define GALETTE_UNROLL _Pragma("unroll")
#else
#define GALETTE_BLOCK inline
#define GALETTE_UNROLL
#endif

namespace galette {

/// How a matrix lies in memory: by rows, element (i, j) at [i * stride + j], or by columns.
enum class Order { rows, columns };

/// Row blocks that a warp makes at a time, for which it reads the other factor once.
constexpr int kRowBlocks = 2;

/// Sums of products without tensor cores. Of the 256 elements of a fragment, each of `Lanes` lanes
/// has every Lanes-th. S is how factors are stored, A what is computed in.
template <typename S, typename A, int Lanes>
struct PlainProduct {
  using Storage = S;
  using Number = A;

  struct Sum {
    static constexpr int kElements = kFragment * kFragment / Lanes;
    A v[kElements];

    GALETTE_BLOCK void clear() {
      GALETTE_UNROLL
      for (int i = 0; i < kElements; ++i) v[i] = 0;
    }
    GALETTE_BLOCK void load(const A* from, int stride, int lane) {
      GALETTE_UNROLL
      for (int i = 0; i < kElements; ++i) v[i] = from[row(i, lane) * stride + column(i, lane)];
    }
    GALETTE_BLOCK void store(A* to, int stride, int lane) const {
      GALETTE_UNROLL
      for (int i = 0; i < kElements; ++i) to[row(i, lane) * stride + column(i, lane)] = v[i];
    }
    GALETTE_BLOCK static int row(int i, int lane) { return (i * Lanes + lane) / kFragment; }
    GALETTE_BLOCK static int column(int i, int lane) { return (i * Lanes + lane) % kFragment; }
  };

  /// Adds to `blocks` fragments, one below the other, the products of left [.., depth] and right
  /// [depth, 16]. depth is a multiple of 16.
  template <Order Left, Order Right>
  GALETTE_BLOCK static void add(Sum (&sum)[kRowBlocks], int blocks, const S* left, int left_stride,
                                const S* right, int right_stride, int depth, int lane) {
    for (int k = 0; k < depth; k += kSteps) {
      A b[Sum::kElements < kFragment ? 1 : kFragment][kSteps];
      constexpr int kColumns = sizeof b / sizeof b[0];
      GALETTE_UNROLL
      for (int i = 0; i < kColumns; ++i)
        read<Right == Order::columns>(b[i], right, right_stride, k, Sum::column(i, lane));
      GALETTE_UNROLL
      for (int r = 0; r < kRowBlocks; ++r) {
        if (r >= blocks) continue;
        GALETTE_UNROLL
        for (int i = 0; i < Sum::kElements; ++i) {
          A a[kSteps];
          read<Left == Order::rows>(a, left, left_stride, k, r * kFragment + Sum::row(i, lane));
          GALETTE_UNROLL
          for (int q = 0; q < kSteps; ++q) sum[r].v[i] += a[q] * b[i % kColumns][q];
        }
      }
    }
  }

 private:
  static constexpr int kSteps = 4;
  struct alignas(kSteps * sizeof(S)) Pack {
    S v[kSteps];
  };

  /// Four factors from step k on, of one row of the left or column of the right matrix.
  template <bool Contiguous>
  GALETTE_BLOCK static void read(A (&to)[kSteps], const S* from, int stride, int k, int line) {
    if constexpr (Contiguous) {
      const Pack pack = *reinterpret_cast<const Pack*>(from + line * stride + k);
      GALETTE_UNROLL
      for (int q = 0; q < kSteps; ++q) to[q] = static_cast<A>(pack.v[q]);
    } else {
      GALETTE_UNROLL
      for (int q = 0; q < kSteps; ++q) to[q] = static_cast<A>(from[(k + q) * stride + line]);
    }
  }
};

/// Tensors of the call, of type S; x may be null. What a pass has no use for is not read.
template <typename S>
struct BlockTensors {
  const S *x, *rows, *columns;
  const S *dy, *e;
  S *y, *ds, *e_dy;  ///< results of the three passes
};

/// Where a block keeps what. `weights`: the packed parameters of its set. `sums`: like these, the
/// gradients of the parameters over the block's tiles; null when nobody asked.
template <typename S, typename A>
struct BlockMemory {
  S* tile;
  A* scratch;  ///< a fragment for each warp
  const S* weights;
  A* sums;
};

template <class Execution, class Product>
class DecoderBlock {
  using S = typename Product::Storage;
  using A = typename Product::Number;
  using Sum = typename Product::Sum;
  using Worker = typename Execution::Worker;

 public:
  GALETTE_BLOCK DecoderBlock(const BlockPlan& plan, const BlockTensors<S>& tensors,
                             const BlockMemory<S, A>& memory, Execution& execution)
      : plan_(plan), tensors_(tensors), memory_(memory), execution_(execution) {}

  /// The pass over tiles [first, end) of the call.
  template <DecoderPass Pass>
  GALETTE_BLOCK void run(int64_t first, int64_t end) {
    begun_ = false;
    for (int64_t tile = first; tile < end; ++tile) {
      place(tile);
      if (Pass == DecoderPass::forward) forward();
      if (Pass == DecoderPass::gradient) gradient();
      if (Pass == DecoderPass::curvature) curvature();
      begun_ = true;
    }
  }

 private:
  /// Factors and the limit of a layer, in the type of sums. The limit is rounded as values are.
  struct Slopes {
    A above, below, clamp;
    GALETTE_BLOCK explicit Slopes(const BlockLayer& layer)
        : above(static_cast<A>(layer.above)),
          below(static_cast<A>(layer.below)),
          clamp(static_cast<A>(static_cast<S>(static_cast<A>(layer.clamp)))) {}
    GALETTE_BLOCK A activate(A v) const {
      v *= v > 0 ? above : below;
      v = v < -clamp ? -clamp : v;
      return v > clamp ? clamp : v;
    }
    /// The derivative where the layer's result is y.
    GALETTE_BLOCK A derivative(A y) const {
      return y >= clamp || y <= -clamp ? A(0) : (y > 0 ? above : below);
    }
  };

  GALETTE_BLOCK S* values(int level) const { return memory_.tile + plan_.level[level].values; }
  GALETTE_BLOCK S* slopes(int level) const { return memory_.tile + plan_.level[level].slopes; }

  GALETTE_BLOCK void place(int64_t tile) {
    sample_ = tile / plan_.tiles_per_sample;
    first_ = static_cast<int>(tile % plan_.tiles_per_sample) * plan_.tile_pixels;
    const int64_t left = plan_.pixels - first_;
    count_ = static_cast<int>(left < plan_.tile_pixels ? left : plan_.tile_pixels);
  }

  GALETTE_BLOCK void forward() {
    sum_lines();
    for (int level = 0; level <= plan_.chain(); ++level) {
      for (int k = 0; k < plan_.layers; ++k)
        if (plan_.layer[k].level == level) run_layer(k);
    }
    write_total(tensors_.y);
  }

  GALETTE_BLOCK void gradient() {
    back_propagate(true);
    write(tensors_.ds, slopes(0), plan_.level[0], 0, 1);
  }

  GALETTE_BLOCK void curvature() {
    back_propagate(false);
    execution_.phase([&](const Worker& w) { read(w, values(0), plan_.level[0], tensors_.e); });
    for (int k = 0; k < plan_.layers; ++k) {
      execution_.phase([&](const Worker& w) {
        add_weight_gradient(w, k);
        if (!begun_) clear_bias_gradient(w, k);
        lead_tangent(w, k);
      });
    }
    write_total(tensors_.e_dy);
  }

  /// x + rows columns / 2, zeros where there are no pixels and no channels.
  GALETTE_BLOCK void sum_lines() {
    execution_.phase([&](const Worker& w) {
      const BlockLevel& level = plan_.level[0];
      S* const to = values(0);
      const int n = level.padded() * plan_.tile_pixels;
      for (int i = w.thread(); i < n; i += w.threads()) {
        const int p = i % plan_.tile_pixels, c = i / plan_.tile_pixels;
        const bool inside = p < count_ && c < level.channels;
        to[p * level.stride + c] = inside ? static_cast<S>(line_sum(c, first_ + p)) : S(A(0));
      }
    });
  }

  GALETTE_BLOCK A line_sum(int channel, int pixel) const {
    const int64_t plane = sample_ * plan_.level[0].channels + channel;
    const S* const row = tensors_.rows + (plane * plan_.height + pixel / plan_.width) * plan_.rank;
    const S* const column =
        tensors_.columns + plane * plan_.rank * plan_.width + pixel % plan_.width;
    A sum = 0;
    for (int q = 0; q < plan_.rank; ++q)
      sum += static_cast<A>(row[q]) * static_cast<A>(column[static_cast<int64_t>(q) * plan_.width]);
    sum *= A(0.5);
    return tensors_.x == nullptr ? sum
                                 : sum + static_cast<A>(tensors_.x[plane * plan_.pixels + pixel]);
  }

  /// Calls make(row, blocks, column) for all places of a product of fragments, shared out to warps.
  template <class Make>
  GALETTE_BLOCK static void share(const Worker& w, int rows, int columns, const Make& make) {
    const int across = columns / kFragment, down = rows / kFragment;
    const int tasks = (down + kRowBlocks - 1) / kRowBlocks * across;
    for (int task = w.warp; task < tasks; task += w.warps) {
      const int block = task / across * kRowBlocks;
      const int left = down - block;
      make(block * kFragment, left < kRowBlocks ? left : kRowBlocks, task % across * kFragment);
    }
  }

  /// Calls store(value, row, column) for the elements of sums from (row, column) on.
  template <class Store>
  GALETTE_BLOCK void finish(const Worker& w, const Sum (&sum)[kRowBlocks], int blocks, int row,
                            int column, const Store& store) const {
    A* const scratch = memory_.scratch + w.warp * kFragment * kFragment;
    GALETTE_UNROLL
    for (int r = 0; r < kRowBlocks; ++r) {
      if (r >= blocks) continue;
      sum[r].store(scratch, kFragment, w.lane);
      w.sync();
      for (int i = w.lane; i < kFragment * kFragment; i += w.lanes)
        store(scratch[i], row + r * kFragment + i / kFragment, column + i % kFragment);
      w.sync();
    }
  }

  GALETTE_BLOCK static void clear(Sum (&sum)[kRowBlocks]) {
    GALETTE_UNROLL
    for (int r = 0; r < kRowBlocks; ++r) sum[r].clear();
  }

  /// What layer k acts on, times its weights, for all of its results.
  template <class Store>
  GALETTE_BLOCK void multiply(const Worker& w, int k, const Store& store) const {
    const BlockLayer& layer = plan_.layer[k];
    const BlockLevel& from = plan_.level[layer.level];
    const S* const weight = memory_.weights + layer.weight;
    share(w, plan_.tile_pixels, plan_.level[k + 1].padded(), [&](int row, int blocks, int column) {
      Sum sum[kRowBlocks];
      clear(sum);
      Product::template add<Order::rows, Order::columns>(
          sum, blocks, values(layer.level) + row * from.stride, from.stride,
          weight + column * layer.stride, layer.stride, layer.padded_in(), w.lane);
      finish(w, sum, blocks, row, column, store);
    });
  }

  GALETTE_BLOCK void run_layer(int k) {
    execution_.phase([&](const Worker& w) {
      const Slopes s(plan_.layer[k]);
      const S* const bias = memory_.weights + plan_.layer[k].bias;
      S* const to = values(k + 1);
      const int stride = plan_.level[k + 1].stride;
      multiply(w, k, [&](A v, int p, int c) {
        to[p * stride + c] = static_cast<S>(s.activate(v + static_cast<A>(bias[c])));
      });
    });
  }

  /// From the tangent of what layer k acts on to that of its result, in place of the result.
  GALETTE_BLOCK void lead_tangent(const Worker& w, int k) {
    const Slopes s(plan_.layer[k]);
    S* const to = values(k + 1);
    const int stride = plan_.level[k + 1].stride;
    multiply(w, k, [&](A v, int p, int c) {
      S& y = to[p * stride + c];
      y = static_cast<S>(v * s.derivative(static_cast<A>(y)));
    });
  }

  /// All values, then the gradients with respect to the sums of all layers, and to the sum of
  /// lines; those of the parameters too where it is asked for.
  GALETTE_BLOCK void back_propagate(bool parameters) {
    sum_lines();
    for (int k = 0; k < plan_.layers; ++k) run_layer(k);
    execution_.phase([&](const Worker& w) {
      for (int k = plan_.heads == 0 ? plan_.layers - 1 : plan_.chain(); k < plan_.layers; ++k)
        read_gradient(w, k);
    });
    for (int level = plan_.heads == 0 ? plan_.chain() - 1 : plan_.chain(); level >= 0; --level) {
      if (parameters && memory_.sums != nullptr) {
        execution_.phase([&](const Worker& w) {
          for (int k = 0; k < plan_.layers; ++k) {
            if (plan_.layer[k].level != level) continue;
            add_weight_gradient(w, k);
            add_bias_gradient(w, k);
          }
        });
      }
      execution_.phase([&](const Worker& w) { lead_back(w, level); });
    }
  }

  /// The gradient of the result, led through the activation of layer k.
  GALETTE_BLOCK void read_gradient(const Worker& w, int k) {
    const BlockLevel& level = plan_.level[k + 1];
    const Slopes s(plan_.layer[k]);
    const S* const from = values(k + 1);
    S* const to = slopes(k + 1);
    const int n = level.padded() * plan_.tile_pixels;
    for (int i = w.thread(); i < n; i += w.threads()) {
      const int p = i % plan_.tile_pixels, c = i / plan_.tile_pixels;
      const int at = p * level.stride + c;
      to[at] =
          static_cast<S>(image(tensors_.dy, level, p, c) * s.derivative(static_cast<A>(from[at])));
    }
  }

  /// To the sums that `level` is the result of (or to the sum of lines) from those of all layers
  /// that act on it.
  GALETTE_BLOCK void lead_back(const Worker& w, int level) {
    const BlockLevel& to = plan_.level[level];
    const Slopes s(plan_.layer[level > 0 ? level - 1 : 0]);
    const S* const value = values(level);
    S* const slope = slopes(level);
    share(w, plan_.tile_pixels, to.padded(), [&](int row, int blocks, int column) {
      Sum sum[kRowBlocks];
      clear(sum);
      for (int k = 0; k < plan_.layers; ++k) {
        const BlockLayer& layer = plan_.layer[k];
        if (layer.level != level) continue;
        const BlockLevel& from = plan_.level[k + 1];
        Product::template add<Order::rows, Order::rows>(
            sum, blocks, slopes(k + 1) + row * from.stride, from.stride,
            memory_.weights + layer.weight + column, layer.stride, from.padded(), w.lane);
      }
      finish(w, sum, blocks, row, column, [&](A v, int p, int c) {
        const int at = p * to.stride + c;
        slope[at] = static_cast<S>(level == 0 ? v : v * s.derivative(static_cast<A>(value[at])));
      });
    });
  }

  /// Adds slopes^T values over the tile's pixels.
  GALETTE_BLOCK void add_weight_gradient(const Worker& w, int k) {
    if (memory_.sums == nullptr) return;
    const BlockLayer& layer = plan_.layer[k];
    const BlockLevel &from = plan_.level[layer.level], &to = plan_.level[k + 1];
    A* const weight = memory_.sums + layer.weight;
    share(w, to.padded(), from.padded(), [&](int row, int blocks, int column) {
      Sum sum[kRowBlocks];
      clear(sum);
      A* const place = weight + row * layer.stride + column;
      GALETTE_UNROLL
      for (int r = 0; r < kRowBlocks; ++r) {
        if (begun_ && r < blocks)
          sum[r].load(place + r * kFragment * layer.stride, layer.stride, w.lane);
      }
      Product::template add<Order::columns, Order::rows>(sum, blocks, slopes(k + 1) + row,
                                                         to.stride, values(layer.level) + column,
                                                         from.stride, plan_.tile_pixels, w.lane);
      GALETTE_UNROLL
      for (int r = 0; r < kRowBlocks; ++r) {
        if (r < blocks) sum[r].store(place + r * kFragment * layer.stride, layer.stride, w.lane);
      }
    });
  }

  GALETTE_BLOCK void add_bias_gradient(const Worker& w, int k) {
    const BlockLevel& level = plan_.level[k + 1];
    const S* const slope = slopes(k + 1);
    A* const bias = memory_.sums + plan_.layer[k].bias;
    for (int c = w.thread(); c < level.padded(); c += w.threads()) {
      A sum = begun_ ? bias[c] : A(0);
      for (int p = 0; p < plan_.tile_pixels; ++p)
        sum += static_cast<A>(slope[p * level.stride + c]);
      bias[c] = sum;
    }
  }

  GALETTE_BLOCK void clear_bias_gradient(const Worker& w, int k) {
    if (memory_.sums == nullptr) return;
    for (int c = w.thread(); c < plan_.level[k + 1].padded(); c += w.threads())
      memory_.sums[plan_.layer[k].bias + c] = 0;
  }

  /// An element of an image [samples, channels, pixels] at a pixel of the tile; zero outside.
  GALETTE_BLOCK A image(const S* from, const BlockLevel& level, int p, int c) const {
    if (p >= count_ || c >= level.channels) return A(0);
    return static_cast<A>(from[(sample_ * level.channels + c) * plan_.pixels + first_ + p]);
  }

  GALETTE_BLOCK void read(const Worker& w, S* to, const BlockLevel& level, const S* from) const {
    const int n = level.padded() * plan_.tile_pixels;
    for (int i = w.thread(); i < n; i += w.threads()) {
      const int p = i % plan_.tile_pixels, c = i / plan_.tile_pixels;
      to[p * level.stride + c] = static_cast<S>(image(from, level, p, c));
    }
  }

  /// The sum of the heads' results, or the end of the chain.
  GALETTE_BLOCK void write_total(S* to) {
    const int last = plan_.heads == 0 ? plan_.chain() : plan_.chain() + 1;
    const BlockLevel& level = plan_.level[last];
    const int distance = plan_.heads > 1 ? plan_.level[last + 1].values - level.values : 0;
    write(to, values(last), level, distance, plan_.heads == 0 ? 1 : plan_.heads);
  }

  /// The sum of `parts` levels of the same shape, `distance` apart, to an image.
  GALETTE_BLOCK void write(S* to, const S* from, const BlockLevel& level, int distance, int parts) {
    execution_.phase([&](const Worker& w) {
      const int n = level.channels * plan_.tile_pixels;
      for (int i = w.thread(); i < n; i += w.threads()) {
        const int p = i % plan_.tile_pixels, c = i / plan_.tile_pixels;
        if (p >= count_) continue;
        A sum = 0;
        for (int part = 0; part < parts; ++part)
          sum += static_cast<A>(from[part * distance + p * level.stride + c]);
        to[(sample_ * level.channels + c) * plan_.pixels + first_ + p] = static_cast<S>(sum);
      }
    });
  }

  const BlockPlan& plan_;
  const BlockTensors<S>& tensors_;
  const BlockMemory<S, A>& memory_;
  Execution& execution_;
  int64_t sample_ = 0;
  int first_ = 0, count_ = 0;  ///< pixels of the tile
  bool begun_ = false;         ///< whether sums hold those of an earlier tile
};

/// Element i of the packed parameters of a set, from the parameters as given.
template <typename S>
GALETTE_BLOCK S packed_parameter(const BlockPlan& plan, const S* parameters, int i) {
  int k = plan.layers - 1;
  while (plan.layer[k].weight > i) --k;
  const BlockLayer& layer = plan.layer[k];
  if (i >= layer.bias) {
    const int c = i - layer.bias;
    return c < layer.out ? parameters[layer.bias_at + c] : S(0.0F);
  }
  const int row = (i - layer.weight) / layer.stride, column = (i - layer.weight) % layer.stride;
  if (row >= layer.out || column >= layer.in) return S(0.0F);
  return parameters[layer.weight_at + row * layer.in + column];
}

/// Where parameter i of a set lies among the packed ones.
GALETTE_BLOCK int packed_place(const BlockPlan& plan, int i) {
  for (int k = 0; k < plan.layers; ++k) {
    const BlockLayer& layer = plan.layer[k];
    const int weight = i - layer.weight_at, bias = i - layer.bias_at;
    if (weight >= 0 && weight < layer.in * layer.out)
      return layer.weight + weight / layer.in * layer.stride + weight % layer.in;
    if (bias >= 0 && bias < layer.out) return layer.bias + bias;
  }
  return 0;
}

}  // namespace galette
