// SPDX-License-Identifier: Apache-2.0
// A pixel decoder of CREPS in one pass over memory, differentiable twice:
//
//   a_0 = x + rows columns / 2                      (product over the rank, per sample and channel)
//   a_k = clamp(sqrt(2) lrelu(W_k a_{k-1} + b_k)),  lrelu(z) = z > 0 ? z : z / 5, per pixel
//   y   = the last a_k, or the sum over heads of clamp(W_h a_{k(h)} + b_h)
//
// Only x, lines and parameters are kept for the backward pass, which computes the layers of a tile
// of pixels once more. Source: Nguyen et al. 2023, "Efficient Scale-Invariant Generator with
// Column-Row Entangled Pixel Synthesis", section 3.
#pragma once

#include <optional>
#include <vector>

#include <ATen/ATen.h>

namespace galette {

struct DecoderLayer {
  at::Tensor weight;              ///< [O, I], or [N, O, I]: for each sample its own
  at::Tensor bias;                ///< [O]
  std::optional<double> clamp{};  ///< largest magnitude of the result
};

/// A linear layer whose result is added to the output.
struct DecoderHead {
  DecoderLayer layer;
  size_t after = 0;  ///< layers of the chain before it
};

/// rows: [N*B, h, r] and columns: [N*B, r, w], the factors of each sample's B channels; x: absent
/// (zeros) or [N, B, h*w]. The first layer takes B channels, each other one those of the layer
/// before. All of one type and device. Returns [N, O, h*w]: O of the heads, or of the last layer.
///
/// The fused body runs for float32 and float64 on the CPU and, where a tile's values fit into
/// shared memory, for float32, float16 and (from compute capability 8 on) bfloat16 on CUDA, unless
/// kernel_path() is plain; else the plain composition. On CUDA float32 is multiplied as TF32 where
/// LibTorch's own products may be. Gradients of parameters are sums in an order that depends on the
/// shape only, on CUDA also on the model of GPU; they are zero where a result is clamped. First and
/// second derivatives exist; asking for the third throws from the fused body. Throws c10::Error on
/// a wrong type, device or shape.
at::Tensor line_decoder(const std::optional<at::Tensor>& x, const at::Tensor& rows,
                        const at::Tensor& columns, const std::vector<DecoderLayer>& layers,
                        const std::vector<DecoderHead>& heads = {});

}  // namespace galette
