// SPDX-License-Identifier: Apache-2.0
// Standard normals by Box-Muller from Philox blocks: four of a row from each block. Source: Box and
// Muller 1958, "A note on the generation of random normal deviates".
#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "kernels/philox.h"

namespace galette {

/// Fills a contiguous tensor [rows, ...] of float32 or float64 on a GPU: row k from the counters of
/// `rows[k]`. float32 values are computed in that type, and differ from the CPU's by its rounding.
/// `c2`: int32 [1] on that GPU, whose value when the kernel runs takes the place of stream.c2; or
/// undefined.
void fill_normal_on_gpu(const at::Tensor& values, const std::vector<uint32_t>& rows,
                        const PhiloxStream& stream, const at::Tensor& c2 = {});

}  // namespace galette
