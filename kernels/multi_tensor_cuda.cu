// SPDX-License-Identifier: Apache-2.0
// CUDA bodies of the operations on flat ranges: one element per step of a grid-stride loop.
#include <algorithm>

#include "kernels/cuda_elements.h"
#include "kernels/multi_tensor_math.h"

namespace galette {
namespace {

template <typename T>
__global__ void adam_kernel(T* theta, const T* grad, T* v, int64_t n, AdamScalars<T> s,
                            int64_t* nonfinite) {
  unsigned long long bad = 0;
  for (int64_t i = grid_first(); i < n; i += grid_stride())
    bad += adam_update(theta[i], grad[i], v[i], s) ? 0 : 1;
  // Rare, so one atomic per thread that saw any is cheap.
  if (bad > 0) atomicAdd(reinterpret_cast<unsigned long long*>(nonfinite), bad);
}

template <typename T>
__global__ void ema_kernel(T* ema, const T* value, int64_t n, T beta) {
  for (int64_t i = grid_first(); i < n; i += grid_stride())
    ema[i] = ema_blend(ema[i], value[i], beta);
}

template <typename T>
__global__ void mark_kernel(const T* values, int64_t begin, int64_t n, SegmentMarks segments) {
  for (int64_t i = grid_first(); i < n; i += grid_stride())
    if (!is_finite(values[i])) segments.marks[segment_of(segments, begin + i)] = segments.mark;
}

struct Pieces {
  RangePiece piece[kPiecesOfALaunch];
};

template <typename T>
__global__ void add_kernel(T* range, Pieces pieces) {
  const RangePiece& piece = pieces.piece[blockIdx.y];
  const T* const values = static_cast<const T*>(piece.values);
  for (int64_t i = grid_first(); i < piece.size; i += grid_stride())
    range[piece.offset + i] += values[place_in(piece, i)];
}

/// Calls f(T()), which launches a kernel, with float or double.
template <class F>
void launch(ElementType type, const F& f) {
  with_real_type(type, f);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace

void adam_step_cuda(ElementType type, void* theta, const void* grad, void* v, int64_t n,
                    const AdamStep& step, int64_t* nonfinite, void* stream) {
  launch(type, [&](auto zero) {
    using T = decltype(zero);
    adam_kernel<T><<<cuda_blocks(n), kCudaThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        static_cast<T*>(theta), static_cast<const T*>(grad), static_cast<T*>(v), n,
        AdamScalars<T>(step), nonfinite);
  });
}

void ema_update_cuda(ElementType type, void* ema, const void* value, int64_t n, double beta,
                     void* stream) {
  launch(type, [&](auto zero) {
    using T = decltype(zero);
    ema_kernel<T><<<cuda_blocks(n), kCudaThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        static_cast<T*>(ema), static_cast<const T*>(value), n, static_cast<T>(beta));
  });
}

void mark_non_finite_cuda(ElementType type, const void* values, int64_t begin, int64_t n,
                          const SegmentMarks& segments, void* stream) {
  launch(type, [&](auto zero) {
    using T = decltype(zero);
    mark_kernel<T><<<cuda_blocks(n), kCudaThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        static_cast<const T*>(values), begin, n, segments);
  });
}

void add_to_range_cuda(ElementType type, void* range, const RangePiece* pieces, int64_t count,
                       void* stream) {
  for (int64_t first = 0; first < count; first += kPiecesOfALaunch) {
    const int64_t n = std::min<int64_t>(kPiecesOfALaunch, count - first);
    Pieces some{};
    std::copy_n(pieces + first, n, some.piece);
    int64_t longest = 1;
    for (int64_t p = 0; p < n; ++p) longest = std::max(longest, some.piece[p].size);
    const dim3 grid(cuda_blocks(longest), static_cast<unsigned>(n));
    launch(type, [&](auto zero) {
      using T = decltype(zero);
      add_kernel<T><<<grid, kCudaThreads, 0, static_cast<cudaStream_t>(stream)>>>(
          static_cast<T*>(range), some);
    });
  }
}

}  // namespace galette
