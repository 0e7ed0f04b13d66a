// SPDX-License-Identifier: Apache-2.0
// CUDA body of the normal fills: one block of four values per step of a grid-stride loop.
#include "kernels/cuda_elements.h"
#include "kernels/philox_normal_math.h"

namespace galette {
namespace {

template <typename T>
__global__ void normal_kernel(T* values, PhiloxRows rows, int64_t n, PhiloxStream philox,
                              const int32_t* c2) {
  if (c2 != nullptr) philox.c2 = static_cast<uint32_t>(*c2);
  T* const row = values + blockIdx.y * n;
  for (int64_t block = grid_first(); 4 * block < n; block += grid_stride()) {
    T quad[4];
    normal_block(philox, rows.row[blockIdx.y], static_cast<uint32_t>(block), quad);
    for (int i = 0; i < 4; ++i)
      if (4 * block + i < n) row[4 * block + i] = quad[i];
  }
}

template <typename T>
void launch(void* values, const PhiloxRows& rows, int64_t n, const PhiloxStream& philox,
            const int32_t* c2, void* stream) {
  const dim3 grid(cuda_blocks((n + 3) / 4), static_cast<unsigned>(rows.count));
  normal_kernel<<<grid, kCudaThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      static_cast<T*>(values), rows, n, philox, c2);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace

void fill_normal_cuda(ElementType type, void* values, const PhiloxRows& rows, int64_t n,
                      const PhiloxStream& philox, const int32_t* c2, void* stream) {
  if (type == ElementType::kFloat64) {
    launch<double>(values, rows, n, philox, c2, stream);
  } else {
    launch<float>(values, rows, n, philox, c2, stream);
  }
}

}  // namespace galette
