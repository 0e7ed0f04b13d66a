// SPDX-License-Identifier: Apache-2.0
// CUDA bodies of the minibatch standard deviation: a part of a group is one block's.
#include "kernels/block_sum.h"
#include "kernels/cuda_elements.h"
#include "kernels/minibatch_std_math.h"

namespace galette {
namespace {

template <typename T>
__device__ GroupPart<T> part_of_block(const MinibatchStdCall& call) {
  return {call, blockIdx.x / call.parts, blockIdx.x % call.parts};
}

template <typename T>
__device__ double sum_extra(const GroupPart<T>& part, const T* dy) {
  double sum = 0;
  for (int64_t j = threadIdx.x; j < part.size * part.pixels; j += kCudaThreads)
    sum += static_cast<double>(dy[part.extra_at(j)]);
  return block_sum(sum);
}

template <typename T>
__device__ void fill_extra(const GroupPart<T>& part, T* y, double value) {
  for (int64_t j = threadIdx.x; j < part.size * part.pixels; j += kCudaThreads)
    y[part.extra_at(j)] = static_cast<T>(value);
}

template <typename T>
__global__ void forward_kernel(MinibatchStdCall call, const T* x, T* y) {
  const GroupPart<T> part = part_of_block<T>(call);
  double sum = 0;
  for (int64_t p = threadIdx.x; p < part.elements; p += kCudaThreads) sum += part.forward(x, y, p);
  fill_extra(part, y, block_sum(sum) / static_cast<double>(part.elements));
}

template <typename T>
__global__ void gradient_kernel(MinibatchStdCall call, const T* x, const T* dy, T* dx) {
  const GroupPart<T> part = part_of_block<T>(call);
  const double a = part.factor(sum_extra(part, dy));
  for (int64_t p = threadIdx.x; p < part.elements; p += kCudaThreads)
    part.gradient(x, dy, a, dx, p);
}

template <typename T>
__global__ void curvature_kernel(MinibatchStdCall call, const T* x, const T* dy, const T* q,
                                 T* by_dy, T* by_x) {
  const GroupPart<T> part = part_of_block<T>(call);
  const double a = part.factor(sum_extra(part, dy));
  double sum = 0;
  for (int64_t p = threadIdx.x; p < part.elements; p += kCudaThreads)
    sum += part.curvature(x, q, a, by_dy, by_x, p);
  fill_extra(part, by_dy, part.factor(block_sum(sum)));
}

/// Calls f(T(), blocks, stream) with float or double.
template <class F>
void launch(const MinibatchStdCall& call, void* stream, const F& f) {
  const auto blocks = static_cast<unsigned>(call.groups * call.parts);
  if (call.type == ElementType::kFloat64) {
    f(double(), blocks, static_cast<cudaStream_t>(stream));
  } else {
    f(float(), blocks, static_cast<cudaStream_t>(stream));
  }
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace

void minibatch_std_forward_cuda(const MinibatchStdCall& call, const void* x, void* y,
                                void* stream) {
  launch(call, stream, [&](auto zero, unsigned blocks, cudaStream_t on) {
    using T = decltype(zero);
    forward_kernel<T>
        <<<blocks, kCudaThreads, 0, on>>>(call, static_cast<const T*>(x), static_cast<T*>(y));
  });
}

void minibatch_std_gradient_cuda(const MinibatchStdCall& call, const void* x, const void* dy,
                                 void* dx, void* stream) {
  launch(call, stream, [&](auto zero, unsigned blocks, cudaStream_t on) {
    using T = decltype(zero);
    gradient_kernel<T><<<blocks, kCudaThreads, 0, on>>>(
        call, static_cast<const T*>(x), static_cast<const T*>(dy), static_cast<T*>(dx));
  });
}

void minibatch_std_curvature_cuda(const MinibatchStdCall& call, const void* x, const void* dy,
                                  const void* q, void* by_dy, void* by_x, void* stream) {
  launch(call, stream, [&](auto zero, unsigned blocks, cudaStream_t on) {
    using T = decltype(zero);
    curvature_kernel<T><<<blocks, kCudaThreads, 0, on>>>(
        call, static_cast<const T*>(x), static_cast<const T*>(dy), static_cast<const T*>(q),
        static_cast<T*>(by_dy), static_cast<T*>(by_x));
  });
}

}  // namespace galette
