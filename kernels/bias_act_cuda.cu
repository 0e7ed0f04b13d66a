// SPDX-License-Identifier: Apache-2.0
// CUDA bodies of bias_act: one element per step of a grid-stride loop, arithmetic in float32 (in
// float64 for float64 data).
#include "kernels/bias_act_math.h"
#include "kernels/cuda_elements.h"

namespace galette {
namespace {

struct Channels {
  int64_t channels, inner;
  bool present;
  template <typename S>
  __device__ arithmetic_t<S> bias_at(const S* bias, int64_t i) const {
    using T = arithmetic_t<S>;
    return present ? static_cast<T>(bias[(i / inner) % channels]) : T(0);
  }
};

template <Activation A, typename S>
__global__ void forward_kernel(const S* x, const S* bias, S* y, int64_t n, Channels channels,
                               BiasActScalars<arithmetic_t<S>> s) {
  using T = arithmetic_t<S>;
  for (int64_t i = grid_first(); i < n; i += grid_stride()) {
    const T b = channels.bias_at(bias, i);
    y[i] = static_cast<S>(bias_act_forward<A>(static_cast<T>(x[i]), b, s));
  }
}

template <Activation A, typename S>
__global__ void gradient_kernel(const S* dy, const S* reference, const S* bias, S* dx, int64_t n,
                                Channels channels, BiasActScalars<arithmetic_t<S>> s) {
  using T = arithmetic_t<S>;
  for (int64_t i = grid_first(); i < n; i += grid_stride()) {
    const T b = channels.bias_at(bias, i);
    dx[i] = static_cast<S>(
        bias_act_gradient<A>(static_cast<T>(dy[i]), static_cast<T>(reference[i]), b, s));
  }
}

template <Activation A, typename S>
__global__ void curvature_kernel(const S* dy, const S* e, const S* reference, const S* bias, S* h,
                                 int64_t n, Channels channels, BiasActScalars<arithmetic_t<S>> s) {
  using T = arithmetic_t<S>;
  for (int64_t i = grid_first(); i < n; i += grid_stride()) {
    const T b = channels.bias_at(bias, i);
    h[i] = static_cast<S>(bias_act_curvature<A>(static_cast<T>(dy[i]), static_cast<T>(e[i]),
                                                static_cast<T>(reference[i]), b, s));
  }
}

/// Calls f(activation constant, storage type, elements, channels, scalars).
template <class F>
void dispatch(const BiasActCall& call, const void* bias, const F& f) {
  const int64_t n = call.outer * call.channels * call.inner;
  const Channels channels{call.channels, call.inner, bias != nullptr};
  with_activation(call.act, [&](auto act) {
    with_element_type(call.type, [&](auto zero) {
      f(act, zero, n, channels, BiasActScalars<arithmetic_t<decltype(zero)>>(call));
    });
  });
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace

void bias_act_forward_cuda(const BiasActCall& call, const void* x, const void* bias, void* y,
                           void* stream) {
  dispatch(call, bias, [&](auto act, auto zero, int64_t n, Channels channels, auto scalars) {
    using S = decltype(zero);
    forward_kernel<decltype(act)::value>
        <<<cuda_blocks(n), kCudaThreads, 0, static_cast<cudaStream_t>(stream)>>>(
            static_cast<const S*>(x), static_cast<const S*>(bias), static_cast<S*>(y), n, channels,
            scalars);
  });
}

void bias_act_gradient_cuda(const BiasActCall& call, const void* dy, const void* reference,
                            const void* bias, void* dx, void* stream) {
  dispatch(call, bias, [&](auto act, auto zero, int64_t n, Channels channels, auto scalars) {
    using S = decltype(zero);
    gradient_kernel<decltype(act)::value>
        <<<cuda_blocks(n), kCudaThreads, 0, static_cast<cudaStream_t>(stream)>>>(
            static_cast<const S*>(dy), static_cast<const S*>(reference),
            static_cast<const S*>(bias), static_cast<S*>(dx), n, channels, scalars);
  });
}

void bias_act_curvature_cuda(const BiasActCall& call, const void* dy, const void* e,
                             const void* reference, const void* bias, void* h, void* stream) {
  dispatch(call, bias, [&](auto act, auto zero, int64_t n, Channels channels, auto scalars) {
    using S = decltype(zero);
    curvature_kernel<decltype(act)::value>
        <<<cuda_blocks(n), kCudaThreads, 0, static_cast<cudaStream_t>(stream)>>>(
            static_cast<const S*>(dy), static_cast<const S*>(e), static_cast<const S*>(reference),
            static_cast<const S*>(bias), static_cast<S*>(h), n, channels, scalars);
  });
}

}  // namespace galette
