// SPDX-License-Identifier: Apache-2.0
// line_decoder composed of LibTorch's operators and bias_act, for all types and devices.
#pragma once

#include "kernels/line_decoder.h"
#include "kernels/line_decoder_math.h"

namespace galette {

/// x + rows columns / 2: [N*B, h, w].
at::Tensor plain_line_sum(const std::optional<at::Tensor>& x, const at::Tensor& rows,
                          const at::Tensor& columns);

/// The layers on s [N, B, P]. Biases may be [N, O] too.
at::Tensor plain_layers(const at::Tensor& s, const std::vector<DecoderLayer>& layers,
                        const std::vector<DecoderHead>& heads);

/// The same with the layers that `parameters`, [1 or N, P], hold as `call` says, but for the heads'
/// biases, [1 or N, heads * O], undefined without heads.
at::Tensor plain_layers(const LineDecoderCall& call, const at::Tensor& s,
                        const at::Tensor& parameters, const at::Tensor& head_biases);

}  // namespace galette
