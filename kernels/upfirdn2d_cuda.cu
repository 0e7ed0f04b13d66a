// SPDX-License-Identifier: Apache-2.0
// CUDA body of upfirdn2d: one result per step of a grid-stride loop, over the taps that meet a
// sample. Neighbouring threads make neighbouring results in memory: of a row, or the channels of a
// pixel, which lie side by side (kManyChannels).
#include "kernels/cuda_elements.h"
#include "kernels/upfirdn2d_math.h"

namespace galette {
namespace {

/// The first tap that meets a sample for result q, and that sample.
struct FirStart {
  int64_t tap, sample;
  __device__ FirStart(const UpFirDnAxis& a, int64_t q) {
    const int64_t position = q * a.down - a.pad;
    tap = floor_mod(-position, a.up);
    sample = floor_div(position + tap, a.up);
  }
};

template <typename S, bool kManyChannels>
__global__ void upfirdn2d_kernel(UpFirDnCall call, const arithmetic_t<S>* taps, bool flip_filter,
                                 arithmetic_t<S> gain, const S* x, S* y, int64_t n) {
  using T = arithmetic_t<S>;
  const int64_t channels = kManyChannels ? call.channels : 1;
  for (int64_t i = grid_first(); i < n; i += grid_stride()) {
    const int64_t pixel = i / channels, row = pixel / call.x.out;
    const FirStart column_start(call.x, pixel % call.x.out);
    const FirStart row_start(call.y, row % call.y.out);
    const S* const plane = x + row / call.y.out * call.y.in * call.x.in * channels + i % channels;
    T sum = 0;
    int64_t sy = row_start.sample;
    for (int64_t ky = row_start.tap; ky < call.y.taps; ky += call.y.up, ++sy) {
      if (sy < 0 || sy >= call.y.in) continue;
      const int64_t fy = (flip_filter ? ky : call.y.taps - 1 - ky) * call.x.taps;
      int64_t sx = column_start.sample;
      for (int64_t kx = column_start.tap; kx < call.x.taps; kx += call.x.up, ++sx) {
        if (sx < 0 || sx >= call.x.in) continue;
        const T tap = taps[fy + (flip_filter ? kx : call.x.taps - 1 - kx)];
        sum += tap * static_cast<T>(plane[(sy * call.x.in + sx) * channels]);
      }
    }
    y[i] = static_cast<S>(gain * sum);
  }
}

}  // namespace

void upfirdn2d_cuda(const UpFirDnCall& call, const void* taps, bool flip_filter, double gain,
                    const void* x, void* y, void* stream) {
  const int64_t n = call.planes * call.y.out * call.x.out * call.channels;
  with_element_type(call.type, [&](auto zero) {
    using S = decltype(zero);
    using T = arithmetic_t<S>;
    const auto kernel = call.channels > 1 ? upfirdn2d_kernel<S, true> : upfirdn2d_kernel<S, false>;
    kernel<<<cuda_blocks(n), kCudaThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        call, static_cast<const T*>(taps), flip_filter, static_cast<T>(gain),
        static_cast<const S*>(x), static_cast<S*>(y), n);
  });
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace galette
