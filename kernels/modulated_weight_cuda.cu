// SPDX-License-Identifier: Apache-2.0
// CUDA bodies of modulated_weight. Sums over a row are taken by one block each; what is summed over
// samples or outputs is, by one thread for each result, in order: the same bits in every run.
#include "kernels/block_sum.h"
#include "kernels/cuda_elements.h"
#include "kernels/modulated_weight_math.h"

namespace galette {
namespace {

template <typename T>
struct Rows {
  const T* w;
  const T* s;
  const T* d;
  int64_t samples, out, in;
  T gain;
  Rows(const ModulatedWeightCall& call, const ModulatedWeightPoint& point)
      : w(static_cast<const T*>(point.w)),
        s(static_cast<const T*>(point.s)),
        d(call.demodulate ? static_cast<const T*>(point.d) : nullptr),
        samples(call.samples),
        out(call.out),
        in(call.in),
        gain(static_cast<T>(call.gain)) {}

  int64_t row_count() const { return samples * out; }
  __device__ T w_at(int64_t o, int64_t i) const { return w[o * in + i]; }
  __device__ T s_at(int64_t n, int64_t i) const { return s[n * in + i]; }
};

/// The cotangents of the gradient: a of dw, or null, and b of ds.
template <typename T>
struct Cotangents {
  const T* a;
  const T* b;
  __device__ T a_at(int64_t i) const { return a == nullptr ? T(0) : a[i]; }
};

template <typename T>
__global__ void forward_kernel(Rows<T> x, T* y, T* d) {
  for (int64_t row = blockIdx.x; row < x.samples * x.out; row += gridDim.x) {
    const int64_t n = row / x.out, o = row % x.out;
    T scale = x.gain;
    if (d != nullptr) {
      T sum = 0;
      for (int64_t i = threadIdx.x; i < x.in; i += kCudaThreads) {
        const T u = x.w_at(o, i) * x.s_at(n, i);
        sum += u * u;
      }
      const T factor = demodulation_factor(block_sum(sum), false);
      if (threadIdx.x == 0) d[row] = factor;
      scale *= factor;
    }
    for (int64_t i = threadIdx.x; i < x.in; i += kCudaThreads)
      y[row * x.in + i] = x.w_at(o, i) * x.s_at(n, i) * scale;
  }
}

/// sums [3, N, O]: t and, with cotangents, r and e.
template <typename T>
__global__ void sums_kernel(Rows<T> x, const T* dy, Cotangents<T> c, T* sums) {
  const int64_t rows = x.samples * x.out;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t n = row / x.out, o = row % x.out;
    RowSums<T> sum;
    for (int64_t i = threadIdx.x; i < x.in; i += kCudaThreads) {
      const T w = x.w_at(o, i), s = x.s_at(n, i), u = w * s, g = x.gain * dy[row * x.in + i];
      sum.t += g * u;
      if (c.b == nullptr) continue;
      const T p = c.a_at(o * x.in + i) * s + c.b[n * x.in + i] * w;
      sum.r += u * p;
      sum.e += g * p;
    }
    const T t = block_sum(sum.t);
    const T r = c.b == nullptr ? T(0) : block_sum(sum.r);
    const T e = c.b == nullptr ? T(0) : block_sum(sum.e);
    if (threadIdx.x != 0) continue;
    sums[row] = t;
    sums[rows + row] = r;
    sums[2 * rows + row] = e;
  }
}

template <typename T>
__device__ RowFactors<T> factors_of(const Rows<T>& x, const T* sums, int64_t row) {
  if (x.d == nullptr) return RowFactors<T>(nullptr, {});
  const int64_t rows = x.samples * x.out;
  return RowFactors<T>(x.d + row, {sums[row], sums[rows + row], sums[2 * rows + row]});
}

/// Of the modulated weight w s, the one that a derivative is taken by. Samples share a weight, and
/// outputs a style, so the terms of all samples or all outputs are summed.
enum class Factor { weight, style };

/// What element [n, o, i] adds to dw or ds.
template <typename T, Factor kFactor>
struct GradientTerm {
  Rows<T> x;
  const T* dy;
  const T* sums;
  __device__ T operator()(int64_t n, int64_t o, int64_t i) const {
    const int64_t row = n * x.out + o;
    const T w = x.w_at(o, i), s = x.s_at(n, i);
    const T slope = factors_of(x, sums, row).slope(x.gain * dy[row * x.in + i], w * s);
    return slope * (kFactor == Factor::weight ? s : w);
  }
};

/// What element [n, o, i] adds to e_w or e_s. Its own e_dy is written with e_w.
template <typename T, Factor kFactor>
struct CurvatureTerm {
  Rows<T> x;
  const T* dy;
  Cotangents<T> c;
  const T* sums;
  T* e_dy;
  __device__ T operator()(int64_t n, int64_t o, int64_t i) const {
    const int64_t row = n * x.out + o;
    const RowFactors<T> f = factors_of(x, sums, row);
    const T w = x.w_at(o, i), s = x.s_at(n, i), a = c.a_at(o * x.in + i), b = c.b[n * x.in + i];
    const T g = x.gain * dy[row * x.in + i], u = w * s, p = a * s + b * w;
    constexpr bool kByWeight = kFactor == Factor::weight;
    if (kByWeight) e_dy[row * x.in + i] = x.gain * f.slope_by_g(p, u);
    return f.curvature(g, u, p) * (kByWeight ? s : w) + f.slope(g, u) * (kByWeight ? b : a);
  }
};

/// For the weight [O, I] sums over the samples, for the style [N, I] over the outputs; one element
/// of the result per thread.
template <typename T, Factor kFactor, template <typename, Factor> class Term>
__global__ void sum_kernel(Term<T, kFactor> term, T* result) {
  constexpr bool kByWeight = kFactor == Factor::weight;
  const Rows<T>& x = term.x;
  const int64_t rows = kByWeight ? x.out : x.samples, terms = kByWeight ? x.samples : x.out;
  for (int64_t k = grid_first(); k < rows * x.in; k += grid_stride()) {
    const int64_t row = k / x.in, i = k % x.in;
    T total = 0;
    for (int64_t j = 0; j < terms; ++j) total += kByWeight ? term(j, row, i) : term(row, j, i);
    result[k] = total;
  }
}

template <typename T, Factor kFactor, template <typename, Factor> class Term>
void launch_sum(const Term<T, kFactor>& term, void* result, cudaStream_t stream) {
  const int64_t rows = kFactor == Factor::weight ? term.x.out : term.x.samples;
  sum_kernel<T, kFactor, Term>
      <<<cuda_blocks(rows * term.x.in), kCudaThreads, 0, stream>>>(term, static_cast<T*>(result));
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace

void modulated_weight_forward_cuda(const ModulatedWeightCall& call, const void* w, const void* s,
                                   void* y, void* d, void* stream) {
  with_real_type(call.type, [&](auto zero) {
    using T = decltype(zero);
    const Rows<T> x(call, {w, s, nullptr});
    forward_kernel<T>
        <<<blocks_of_rows(x.row_count()), kCudaThreads, 0, static_cast<cudaStream_t>(stream)>>>(
            x, static_cast<T*>(y), call.demodulate ? static_cast<T*>(d) : nullptr);
    CUDA_CHECK(cudaGetLastError());
  });
}

void modulated_weight_gradient_cuda(const ModulatedWeightCall& call,
                                    const ModulatedWeightPoint& point, const void* dy, void* dw,
                                    void* ds, void* sums, void* stream) {
  with_real_type(call.type, [&](auto zero) {
    using T = decltype(zero);
    const auto on = static_cast<cudaStream_t>(stream);
    const Rows<T> x(call, point);
    const auto* const g = static_cast<const T*>(dy);
    auto* const s = static_cast<T*>(sums);
    if (call.demodulate) {
      sums_kernel<T><<<blocks_of_rows(x.row_count()), kCudaThreads, 0, on>>>(x, g, {}, s);
      CUDA_CHECK(cudaGetLastError());
    }
    launch_sum(GradientTerm<T, Factor::style>{x, g, s}, ds, on);
    if (dw != nullptr) launch_sum(GradientTerm<T, Factor::weight>{x, g, s}, dw, on);
  });
}

void modulated_weight_curvature_cuda(const ModulatedWeightCall& call,
                                     const ModulatedWeightPoint& point, const void* dy,
                                     const void* to_dw, const void* to_ds, void* e_dy, void* e_w,
                                     void* e_s, void* sums, void* stream) {
  with_real_type(call.type, [&](auto zero) {
    using T = decltype(zero);
    const auto on = static_cast<cudaStream_t>(stream);
    const Rows<T> x(call, point);
    const Cotangents<T> c{static_cast<const T*>(to_dw), static_cast<const T*>(to_ds)};
    const auto* const g = static_cast<const T*>(dy);
    auto* const s = static_cast<T*>(sums);
    if (call.demodulate) {
      sums_kernel<T><<<blocks_of_rows(x.row_count()), kCudaThreads, 0, on>>>(x, g, c, s);
      CUDA_CHECK(cudaGetLastError());
    }
    launch_sum(CurvatureTerm<T, Factor::weight>{x, g, c, s, static_cast<T*>(e_dy)}, e_w, on);
    launch_sum(CurvatureTerm<T, Factor::style>{x, g, c, s, nullptr}, e_s, on);
  });
}

}  // namespace galette
