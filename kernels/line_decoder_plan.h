// SPDX-License-Identifier: Apache-2.0
// How a block of GPU threads runs line_decoder: where the packed weights and the values of a tile
// of pixels lie. All widths are padded to the 16 of a matrix fragment. Made on the host, read by
// the device, and by the test that runs a block's code on the host.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/line_decoder_math.h"

namespace galette {

constexpr int kFragment = 16;    ///< rows and columns of a fragment of a product
constexpr int kMostLayers = 12;  ///< of the chain and heads
constexpr int kRowPadding = 8;   ///< elements between rows, so that they lie in different banks
constexpr int kBlockWarps = 8;

inline int padded_to_fragment(int64_t n) {
  return static_cast<int>((n + kFragment - 1) / kFragment * kFragment);
}

enum class DecoderPass { forward, gradient, curvature };

struct BlockLayer {
  int level, in, out;
  int weight;              ///< [padded out, stride]: where it begins among the packed parameters
  int stride;              ///< padded in, and kRowPadding
  int bias;                ///< [padded out], likewise
  int weight_at, bias_at;  ///< the same among the parameters as given
  double above, below, clamp;  ///< factors of positive and other sums; the largest magnitude

  constexpr int padded_in() const { return stride - kRowPadding; }
};

/// Values [tile_pixels, stride] of a level in the tile's memory, and gradients with respect to the
/// sums that it is the result of.
struct BlockLevel {
  int channels, stride;
  int values, slopes;  ///< where they begin

  constexpr int padded() const { return stride - kRowPadding; }
};

struct BlockPlan {
  int64_t pixels;
  int height, width, rank;
  int layers, heads;
  BlockLayer layer[kMostLayers];
  BlockLevel level[kMostLayers + 1];  ///< the sum of lines, then the result of each layer
  int tile_pixels;
  int packed;         ///< elements of the packed parameters of a set
  int parameters;     ///< of the set as given
  int tile_elements;  ///< of all levels

  /// The pixels of each sample are cut into tiles, those of a group (all samples, or one with
  /// parameters of its own) into runs, one for each block.
  int64_t tiles_per_sample, tiles_per_group, groups, runs_per_group;

  constexpr int chain() const { return layers - heads; }
  constexpr int64_t runs() const { return groups * runs_per_group; }
  constexpr int64_t first_tile(int64_t run) const {
    return run / runs_per_group * tiles_per_group +
           run % runs_per_group * tiles_per_group / runs_per_group;
  }
  constexpr int64_t end_tile(int64_t run) const {
    return run / runs_per_group * tiles_per_group +
           (run % runs_per_group + 1) * tiles_per_group / runs_per_group;
  }
};

/// Whether a plan can hold the call: not too many layers, sizes that fit into int.
inline bool fits_block_plan(const LineDecoderCall& call) {
  constexpr int64_t kMost = std::numeric_limits<int>::max();
  return call.layers.size() <= kMostLayers && call.pixels() < kMost && call.rank < kMost &&
         call.parameters() < kMost / 4;
}

namespace detail {

inline void place_layers(BlockPlan& plan, const LineDecoderCall& call) {
  plan.layers = static_cast<int>(call.layers.size());
  plan.heads = static_cast<int>(call.heads);
  plan.parameters = static_cast<int>(call.parameters());
  plan.packed = 0;
  for (int k = 0; k < plan.layers; ++k) {
    const DecoderLayerShape& shape = call.layers[k];
    BlockLayer& layer = plan.layer[k];
    layer.level = static_cast<int>(shape.level);
    layer.in = static_cast<int>(shape.in);
    layer.out = static_cast<int>(shape.out);
    layer.stride = padded_to_fragment(shape.in) + kRowPadding;
    layer.weight = plan.packed;
    layer.bias = layer.weight + padded_to_fragment(shape.out) * layer.stride;
    plan.packed = layer.bias + padded_to_fragment(shape.out);
    layer.weight_at = static_cast<int>(shape.weight_at);
    layer.bias_at = static_cast<int>(shape.bias_at);
    layer.above = shape.gain;
    layer.below = shape.gain * shape.slope;
    layer.clamp = shape.clamp;
  }
}

/// The forward pass needs a level of the chain only until the next one is done, so every second one
/// takes the same place; the others need them all. The gradient pass puts slopes where the values
/// were; the curvature pass keeps both.
inline void place_levels(BlockPlan& plan, const LineDecoderCall& call, DecoderPass pass) {
  int end = 0, shared[2] = {0, 0};
  const auto size = [&](int k) { return plan.level[k].stride * plan.tile_pixels; };
  for (int k = 0; k <= plan.layers; ++k) {
    plan.level[k].channels = static_cast<int>(call.channels(k));
    plan.level[k].stride = padded_to_fragment(call.channels(k)) + kRowPadding;
    if (k <= plan.chain()) shared[k % 2] = std::max(shared[k % 2], size(k));
  }
  if (pass == DecoderPass::forward) end = shared[0] + shared[1];
  for (int k = 0; k <= plan.layers; ++k) {
    BlockLevel& level = plan.level[k];
    if (pass == DecoderPass::forward && k <= plan.chain()) {
      level.values = k % 2 * shared[0];
    } else {
      level.values = end;
      end += size(k);
    }
    level.slopes = level.values;
    if (pass != DecoderPass::curvature) continue;
    level.slopes = end;
    end += size(k);
  }
  plan.tile_elements = end;
}

}  // namespace detail

/// For about `most_runs` blocks; the call must have pixels, and fits_block_plan() be true.
inline BlockPlan block_plan(const LineDecoderCall& call, DecoderPass pass, int tile_pixels,
                            int64_t most_runs) {
  BlockPlan plan{};
  plan.pixels = call.pixels();
  plan.height = static_cast<int>(call.height);
  plan.width = static_cast<int>(call.width);
  plan.rank = static_cast<int>(call.rank);
  plan.tile_pixels = tile_pixels;
  detail::place_layers(plan, call);
  detail::place_levels(plan, call, pass);
  plan.tiles_per_sample = (plan.pixels + tile_pixels - 1) / tile_pixels;
  plan.groups = call.parameter_sets;
  plan.tiles_per_group = call.samples * plan.tiles_per_sample / plan.groups;
  const int64_t runs = std::max<int64_t>(1, (most_runs + plan.groups - 1) / plan.groups);
  plan.runs_per_group = std::min(plan.tiles_per_group, runs);
  return plan;
}

}  // namespace galette
