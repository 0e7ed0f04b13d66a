// SPDX-License-Identifier: Apache-2.0
// Sums over a block of kCudaThreads threads, in the same order in every run.
#pragma once

#include "kernels/cuda_elements.h"

namespace galette {

/// The sum over the threads of a block, for all of them. All must call it.
template <typename T>
__device__ T block_sum(T value) {
  __shared__ T parts[kCudaThreads];
  __syncthreads();  // of an earlier call
  parts[threadIdx.x] = value;
  __syncthreads();
  for (int half = kCudaThreads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    __syncthreads();
  }
  return parts[0];
}

/// Blocks for a loop that gives each block one of `rows` after the other.
inline unsigned blocks_of_rows(int64_t rows) {
  return cuda_blocks(rows * kCudaThreads);
}

}  // namespace galette
