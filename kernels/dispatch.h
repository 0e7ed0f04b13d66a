// SPDX-License-Identifier: Apache-2.0
// What every kernel does before it runs its CPU or CUDA body: check the element type, find the
// stream.
#pragma once

#include <ATen/ATen.h>

#include "kernels/element_type.h"

namespace galette {

/// The element type of argument `name` of operator `op`. Throws c10::Error unless it is float32 or
/// float64, or float16 or bfloat16 on CUDA, and the device is one of the two.
ElementType checked_element_type(const at::Tensor& tensor, const char* op, const char* name);

/// Whether a tensor is of a 16-bit type on the CPU. The bodies there take float32 and float64, so
/// an operator converts such a tensor, computes, and rounds the result once.
bool computes_as_float32(const at::Tensor& tensor);

/// The cudaStream_t on which LibTorch runs the tensor's device now.
void* current_cuda_stream(const at::Tensor& tensor);

}  // namespace galette
