// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/line_decoder.h"
#include "kernels/line_decoder_math.h"

namespace galette {

/// What the bodies need to know of a call of line_decoder. Throws c10::Error when its arguments do
/// not fit together.
LineDecoderCall line_decoder_call(const std::optional<at::Tensor>& x, const at::Tensor& rows,
                                  const at::Tensor& columns,
                                  const std::vector<DecoderLayer>& layers,
                                  const std::vector<DecoderHead>& heads);

}  // namespace galette
