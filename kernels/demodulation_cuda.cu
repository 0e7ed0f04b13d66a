// SPDX-License-Identifier: Apache-2.0
// CUDA bodies of demodulation. A block takes the outputs or rows given to it one after the other;
// what is summed over outputs is, by one thread for each style, in order: the same bits in every
// run.
#include "kernels/block_sum.h"
#include "kernels/cuda_elements.h"
#include "kernels/demodulation_math.h"

namespace galette {
namespace {

template <typename T>
struct Point {
  const T *w, *s, *energy, *d;
  int64_t samples, out, in, taps;
  bool relative;
  T spread;
  Point(const DemodulationCall& call, const DemodulationPoint& p)
      : w(static_cast<const T*>(p.w)),
        s(static_cast<const T*>(p.s)),
        energy(static_cast<const T*>(p.energy)),
        d(static_cast<const T*>(p.d)),
        samples(call.samples),
        out(call.out),
        in(call.in),
        taps(call.taps),
        relative(call.relative),
        spread(static_cast<T>(spread_factor(call))) {}

  __device__ T z(const T* g, int64_t row) const { return demodulation_slope(g[row], d[row]); }
};

/// The sum of a b over the taps of element i of output o.
template <typename T>
__device__ T sum_taps(const Point<T>& x, const T* a, const T* b, int64_t o, int64_t i) {
  const int64_t first = (o * x.in + i) * x.taps;
  T sum = 0;
  for (int64_t k = first; k < first + x.taps; ++k) sum += a[k] * b[k];
  return sum;
}

/// to[o,i] = the sum of w b over the taps, spread over i; a block per output.
template <typename T>
__global__ void tap_sums_kernel(Point<T> x, const T* b, T* to) {
  for (int64_t o = blockIdx.x; o < x.out; o += gridDim.x) {
    T sum = 0;
    for (int64_t i = threadIdx.x; i < x.in; i += kCudaThreads)
      sum += to[o * x.in + i] = sum_taps(x, x.w, b, o, i);
    if (x.spread == 0) continue;
    const T added = x.spread * block_sum(sum);
    for (int64_t i = threadIdx.x; i < x.in; i += kCudaThreads) to[o * x.in + i] += added;
  }
}

/// A block per row (n, o).
template <typename T>
__global__ void factor_kernel(Point<T> x, const T* energy, T* d) {
  for (int64_t row = blockIdx.x; row < x.samples * x.out; row += gridDim.x) {
    const int64_t n = row / x.out, o = row % x.out;
    T sum = 0;
    for (int64_t i = threadIdx.x; i < x.in; i += kCudaThreads) {
      const T s = x.s[n * x.in + i];
      sum += s * s * energy[o * x.in + i];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) d[row] = demodulation_factor(sum, x.relative);
  }
}

/// F[o,i] without what is spread.
template <typename T>
__device__ T f_at(const Point<T>& x, const T* g, int64_t o, int64_t i) {
  T sum = 0;
  for (int64_t n = 0; n < x.samples; ++n) {
    const T s = x.s[n * x.in + i];
    sum += x.z(g, n * x.out + o) * s * s;
  }
  return sum;
}

/// What is added to all F of an output. All threads of the block must call it.
template <typename T>
__device__ T spread_of_f(const Point<T>& x, const T* g, int64_t o) {
  if (x.spread == 0) return T(0);
  T sum = 0;
  for (int64_t i = threadIdx.x; i < x.in; i += kCudaThreads) sum += f_at(x, g, o, i);
  return x.spread * block_sum(sum);
}

/// dw; a block per output.
template <typename T>
__global__ void to_weight_kernel(Point<T> x, const T* g, T* dw) {
  for (int64_t o = blockIdx.x; o < x.out; o += gridDim.x) {
    const T added = spread_of_f(x, g, o);
    for (int64_t i = threadIdx.x; i < x.in; i += kCudaThreads) {
      const T f = f_at(x, g, o, i) + added;
      const int64_t first = (o * x.in + i) * x.taps;
      for (int64_t k = first; k < first + x.taps; ++k) dw[k] = x.w[k] * f;
    }
  }
}

/// ds; a thread per element.
template <typename T>
__global__ void to_style_kernel(Point<T> x, const T* g, T* ds) {
  for (int64_t k = grid_first(); k < x.samples * x.in; k += grid_stride()) {
    const int64_t n = k / x.in, i = k % x.in;
    T sum = 0;
    for (int64_t o = 0; o < x.out; ++o) sum += x.z(g, n * x.out + o) * x.energy[o * x.in + i];
    ds[k] = x.s[k] * sum;
  }
}

/// e_g and v of each row, a block per row; h [O, I] is null when there is no cotangent of dw.
template <typename T>
__global__ void bend_kernel(Point<T> x, const T* g, const T* h, const T* b, T* e_g, T* v) {
  for (int64_t row = blockIdx.x; row < x.samples * x.out; row += gridDim.x) {
    const int64_t n = row / x.out, o = row % x.out;
    T m = 0;
    for (int64_t i = threadIdx.x; i < x.in; i += kCudaThreads) {
      const T s = x.s[n * x.in + i], e = x.energy[o * x.in + i];
      m += s * (b[n * x.in + i] * e + (h == nullptr ? T(0) : s * h[o * x.in + i]));
    }
    m = block_sum(m);
    if (threadIdx.x != 0) continue;
    e_g[row] = demodulation_slope(m, x.d[row]);
    v[row] = demodulation_bend(g[row], x.d[row], m);
  }
}

/// G[o,i] without what is spread.
template <typename T>
__device__ T bend_at(const Point<T>& x, const T* g, const T* v, const T* b, int64_t o, int64_t i) {
  T sum = 0;
  for (int64_t n = 0; n < x.samples; ++n) {
    const int64_t row = n * x.out + o;
    const T s = x.s[n * x.in + i];
    sum += s * (v[row] * s + x.z(g, row) * b[n * x.in + i]);
  }
  return sum;
}

/// e_w; a block per output.
template <typename T>
__global__ void curvature_to_weight_kernel(Point<T> x, const T* g, const T* v, const T* a,
                                           const T* b, T* e_w) {
  for (int64_t o = blockIdx.x; o < x.out; o += gridDim.x) {
    const T added_to_f = a == nullptr ? T(0) : spread_of_f(x, g, o);
    T added = 0;
    if (x.spread != 0) {
      T sum = 0;
      for (int64_t i = threadIdx.x; i < x.in; i += kCudaThreads) sum += bend_at(x, g, v, b, o, i);
      added = x.spread * block_sum(sum);
    }
    for (int64_t i = threadIdx.x; i < x.in; i += kCudaThreads) {
      const T bend = 2 * (bend_at(x, g, v, b, o, i) + added);
      const T f = a == nullptr ? T(0) : f_at(x, g, o, i) + added_to_f;
      const int64_t first = (o * x.in + i) * x.taps;
      for (int64_t k = first; k < first + x.taps; ++k)
        e_w[k] = x.w[k] * bend + (a == nullptr ? T(0) : a[k] * f);
    }
  }
}

/// e_s; a thread per element.
template <typename T>
__global__ void curvature_to_style_kernel(Point<T> x, const T* g, const T* v, const T* h,
                                          const T* b, T* e_s) {
  for (int64_t k = grid_first(); k < x.samples * x.in; k += grid_stride()) {
    const int64_t n = k / x.in, i = k % x.in;
    T of_s = 0, of_b = 0;
    for (int64_t o = 0; o < x.out; ++o) {
      const int64_t row = n * x.out + o;
      const T e = x.energy[o * x.in + i], z = x.z(g, row);
      of_s += v[row] * e + (h == nullptr ? T(0) : z * h[o * x.in + i]);
      of_b += z * e;
    }
    e_s[k] = 2 * x.s[k] * of_s + b[k] * of_b;
  }
}

}  // namespace

void demodulation_forward_cuda(const DemodulationCall& call, const void* w, const void* s,
                               void* energy, void* d, void* stream) {
  with_real_type(call.type, [&](auto zero) {
    using T = decltype(zero);
    const auto on = static_cast<cudaStream_t>(stream);
    const Point<T> x(call, {w, s, nullptr, nullptr});
    auto* const e = static_cast<T*>(energy);
    tap_sums_kernel<T><<<blocks_of_rows(x.out), kCudaThreads, 0, on>>>(x, x.w, e);
    CUDA_CHECK(cudaGetLastError());
    factor_kernel<T>
        <<<blocks_of_rows(x.samples * x.out), kCudaThreads, 0, on>>>(x, e, static_cast<T*>(d));
    CUDA_CHECK(cudaGetLastError());
  });
}

void demodulation_gradient_cuda(const DemodulationCall& call, const DemodulationPoint& point,
                                const void* g, void* dw, void* ds, void* stream) {
  with_real_type(call.type, [&](auto zero) {
    using T = decltype(zero);
    const auto on = static_cast<cudaStream_t>(stream);
    const Point<T> x(call, point);
    const auto* const slopes = static_cast<const T*>(g);
    to_style_kernel<T>
        <<<cuda_blocks(x.samples * x.in), kCudaThreads, 0, on>>>(x, slopes, static_cast<T*>(ds));
    CUDA_CHECK(cudaGetLastError());
    if (dw == nullptr) return;
    to_weight_kernel<T>
        <<<blocks_of_rows(x.out), kCudaThreads, 0, on>>>(x, slopes, static_cast<T*>(dw));
    CUDA_CHECK(cudaGetLastError());
  });
}

void demodulation_curvature_cuda(const DemodulationCall& call, const DemodulationPoint& point,
                                 const void* g, const void* to_dw, const void* to_ds, void* e_g,
                                 void* e_w, void* e_s, void* scratch, void* stream) {
  with_real_type(call.type, [&](auto zero) {
    using T = decltype(zero);
    const auto on = static_cast<cudaStream_t>(stream);
    const Point<T> x(call, point);
    const auto* const slopes = static_cast<const T*>(g);
    const auto* const a = static_cast<const T*>(to_dw);
    const auto* const b = static_cast<const T*>(to_ds);
    T* const v = static_cast<T*>(scratch) + x.out * x.in;
    T* const h = a == nullptr ? nullptr : static_cast<T*>(scratch);
    if (h != nullptr) {
      tap_sums_kernel<T><<<blocks_of_rows(x.out), kCudaThreads, 0, on>>>(x, a, h);
      CUDA_CHECK(cudaGetLastError());
    }
    bend_kernel<T><<<blocks_of_rows(x.samples * x.out), kCudaThreads, 0, on>>>(
        x, slopes, h, b, static_cast<T*>(e_g), v);
    CUDA_CHECK(cudaGetLastError());
    curvature_to_weight_kernel<T>
        <<<blocks_of_rows(x.out), kCudaThreads, 0, on>>>(x, slopes, v, a, b, static_cast<T*>(e_w));
    CUDA_CHECK(cudaGetLastError());
    curvature_to_style_kernel<T><<<cuda_blocks(x.samples * x.in), kCudaThreads, 0, on>>>(
        x, slopes, v, h, b, static_cast<T*>(e_s));
    CUDA_CHECK(cudaGetLastError());
  });
}

}  // namespace galette
