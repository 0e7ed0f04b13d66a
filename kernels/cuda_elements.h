// SPDX-License-Identifier: Apache-2.0
// Element types on the device: float16 and bfloat16 are storage only, arithmetic on them is float32
// with one rounding on store.
#pragma once

#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda_check.h"
#include "kernels/element_type.h"

namespace galette {

template <typename S>
struct Arithmetic {
  using type = float;
};
template <>
struct Arithmetic<double> {
  using type = double;
};
template <typename S>
using arithmetic_t = typename Arithmetic<S>::type;

/// Calls f(S()) with the storage type of `type`.
template <class F>
void with_element_type(ElementType type, F&& f) {
  switch (type) {
    case ElementType::kFloat64:
      return f(double());
    case ElementType::kFloat32:
      return f(float());
    case ElementType::kFloat16:
      return f(__half());
    case ElementType::kBFloat16:
      return f(__nv_bfloat16());
  }
}

constexpr int kCudaThreads = 256;

/// Blocks for a grid-stride loop over n > 0 elements: enough to fill any GPU, few enough to launch
/// cheaply.
inline unsigned cuda_blocks(int64_t n) {
  const int64_t blocks = (n + kCudaThreads - 1) / kCudaThreads;
  return static_cast<unsigned>(blocks < 65536 ? blocks : 65536);
}

/// The first element of this thread in a grid-stride loop, and the stride.
__device__ inline int64_t grid_first() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline int64_t grid_stride() {
  return static_cast<int64_t>(gridDim.x) * blockDim.x;
}

}  // namespace galette
