// SPDX-License-Identifier: Apache-2.0
// CUDA body of tallies: one block, whose threads' sums meet in pairs in shared memory.
#include "kernels/cuda_elements.h"
#include "kernels/tally_math.h"

namespace galette {
namespace {

template <class Rule, typename S>
__global__ void tally_kernel(const S* values, int64_t n, typename Rule::Number* sums) {
  using Number = typename Rule::Number;
  constexpr int kNumbers = Rule::kNumbers;
  __shared__ Number shared[kNumbers][kCudaThreads];
  const int thread = static_cast<int>(threadIdx.x);
  Number own[kNumbers] = {};
  for (int64_t i = thread; i < n; i += kCudaThreads)
    Rule::add(own, static_cast<double>(static_cast<arithmetic_t<S>>(values[i])));
  for (int k = 0; k < kNumbers; ++k) shared[k][thread] = own[k];
  for (int half = kCudaThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (thread >= half) continue;
    for (int k = 0; k < kNumbers; ++k) shared[k][thread] += shared[k][thread + half];
  }
  if (thread == 0)
    for (int k = 0; k < kNumbers; ++k) sums[k] += shared[k][0];
}

}  // namespace

void add_tally_cuda(ElementType type, Tally tally, const void* values, int64_t n, void* sums,
                    void* stream) {
  with_tally(tally, [&](auto rule) {
    using Rule = decltype(rule);
    with_element_type(type, [&](auto zero) {
      using S = decltype(zero);
      tally_kernel<Rule, S><<<1, kCudaThreads, 0, static_cast<cudaStream_t>(stream)>>>(
          static_cast<const S*>(values), n, static_cast<typename Rule::Number*>(sums));
    });
  });
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace galette
