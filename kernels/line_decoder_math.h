// SPDX-License-Identifier: Apache-2.0
// What the bodies of line_decoder are given. Pixels are [samples, channels, height * width]; rows
// [samples, channels, height, rank], columns [samples, channels, rank, width].
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/element_type.h"

namespace galette {

/// A layer acts on the values at one level: the sum of lines is level 0, the result of layer k of
/// the chain level k + 1. Heads come after the chain; their results are added up.
struct DecoderLayerShape {
  int64_t level = 0, in = 0, out = 0;
  double slope = 1, gain = 1;  ///< of the leaky ReLU; heads have none
  double clamp = 0;            ///< of the result; infinite when there is none
  int64_t weight_at = 0;       ///< [out, in], among a sample's parameters
  int64_t bias_at = 0;         ///< [out]
};

struct LineDecoderCall {
  ElementType type = ElementType::kFloat32;
  int64_t samples = 0, height = 0, width = 0, rank = 0;
  std::vector<DecoderLayerShape> layers;
  int64_t heads = 0;           ///< the last of the layers; without any, the result is the chain's
  int64_t parameter_sets = 1;  ///< 1, or one for each sample
  bool tf32 = false;  ///< tensor cores may take float32 factors with 10 bits after the point

  int64_t chain() const { return static_cast<int64_t>(layers.size()) - heads; }
  int64_t channels(int64_t level) const {
    return level == 0 ? layers[0].in : layers[level - 1].out;
  }
  int64_t channels_out() const { return layers.back().out; }
  int64_t pixels() const { return height * width; }
  /// A set: weight and bias of each layer of the chain, weights of the heads, biases of the heads.
  int64_t parameters() const { return layers.back().bias_at + layers.back().out; }
  int64_t head_biases() const { return heads * channels_out(); }
};

/// Contiguous elements of call.type; x may be null.
struct LineDecoderInputs {
  const void *x, *rows, *columns, *parameters;
};

// The CPU bodies, for float32 and float64. s = x + rows columns / 2 is what the layers act on.
//   forward:    y = layers(s)
//   gradient:   ds = dy (dy/ds), and unless null dparameters [parameter_sets, parameters]
//   curvature:  ds is linear in dy. For a cotangent e of ds: e_dy, and unless null the cotangent of
//               the parameters (that of s and of the biases is zero almost everywhere)
void line_decoder_forward_cpu(const LineDecoderCall& call, const LineDecoderInputs& in, void* y);
void line_decoder_gradient_cpu(const LineDecoderCall& call, const LineDecoderInputs& in,
                               const void* dy, void* ds, void* dparameters);
void line_decoder_curvature_cpu(const LineDecoderCall& call, const LineDecoderInputs& in,
                                const void* dy, const void* e, void* e_dy, void* dparameters);

/// Device memory of so many bytes, at least until the work that was given to the stream is done.
using DeviceAllocator = std::function<void*(size_t bytes)>;

// The CUDA bodies, on the current device and a stream of it (cudaStream_t), for float16, for
// bfloat16 from compute capability 8 on, and for float32. The order of the sums depends on the
// shape and the model of GPU. Throw std::runtime_error when CUDA fails.

/// Whether there are bodies for the type, and the values of a tile fit into shared memory.
bool line_decoder_cuda_supports(const LineDecoderCall& call);

void line_decoder_forward_cuda(const LineDecoderCall& call, const LineDecoderInputs& in, void* y,
                               const DeviceAllocator& allocate, void* stream);
void line_decoder_gradient_cuda(const LineDecoderCall& call, const LineDecoderInputs& in,
                                const void* dy, void* ds, void* dparameters,
                                const DeviceAllocator& allocate, void* stream);
void line_decoder_curvature_cuda(const LineDecoderCall& call, const LineDecoderInputs& in,
                                 const void* dy, const void* e, void* e_dy, void* dparameters,
                                 const DeviceAllocator& allocate, void* stream);

}  // namespace galette
