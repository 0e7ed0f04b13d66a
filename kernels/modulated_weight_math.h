// SPDX-License-Identifier: Apache-2.0
// The formulas of modulated_weight, shared by the CPU and CUDA bodies, and what the bodies are
// given. One row belongs to sample n and output o, and has the elements i:
//
//   u = w s,   d = (sum of u^2 over i + 1e-8)^(-1/2), or 1 without demodulation,   y = gain d u
//
// With g = gain dy and t = sum of g u over i, the gradient of the row by u is q = d g - d^3 t u, of
// which w and s get q s and q w. Of a further cotangent (A of dw, B of ds), p = A s + B w is the
// change of u along it, r = sum of u p and e = sum of g p; then the loss <q, p> has the gradients
//   by g:  d p - d^3 r u,     by u alone:  h = (3 d^5 t r - d^3 e) u - d^3 r g - d^3 t p,
// and w and s get h s + q B and h w + q A.
#pragma once

#include <cstdint>

#include "kernels/demodulation_math.h"
#include "kernels/element_type.h"
#include "kernels/host_device.h"

namespace galette {

struct ModulatedWeightCall {
  ElementType type = ElementType::kFloat32;  ///< float32 or float64
  int64_t samples = 1;
  int64_t out = 1;
  int64_t in = 1;
  bool demodulate = true;
  double gain = 1;
};

/// What all bodies read. w [O, I], s [N, I]; d [N, O] is unread without demodulation.
struct ModulatedWeightPoint {
  const void* w;
  const void* s;
  const void* d;
};

// The bodies. Every pointer is to contiguous elements of call.type. Results have the same bits on
// any number of threads.
//   forward:    y [N, O, I], and d when demodulating
//   gradient:   of dy [N, O, I]: dw [O, I], unless it is null, and ds [N, I]
//   curvature:  of the cotangents to_dw [O, I] (may be null: none) and to_ds [N, I] of the latter:
//               e_dy [N, O, I], e_w [O, I], e_s [N, I]
void modulated_weight_forward_cpu(const ModulatedWeightCall& call, const void* w, const void* s,
                                  void* y, void* d);
void modulated_weight_gradient_cpu(const ModulatedWeightCall& call,
                                   const ModulatedWeightPoint& point, const void* dy, void* dw,
                                   void* ds);
void modulated_weight_curvature_cpu(const ModulatedWeightCall& call,
                                    const ModulatedWeightPoint& point, const void* dy,
                                    const void* to_dw, const void* to_ds, void* e_dy, void* e_w,
                                    void* e_s);
// On the cudaStream_t `stream`, with room for kModulatedWeightSums sums of each row, [3, N, O].
constexpr int64_t kModulatedWeightSums = 3;
void modulated_weight_forward_cuda(const ModulatedWeightCall& call, const void* w, const void* s,
                                   void* y, void* d, void* stream);
void modulated_weight_gradient_cuda(const ModulatedWeightCall& call,
                                    const ModulatedWeightPoint& point, const void* dy, void* dw,
                                    void* ds, void* sums, void* stream);
void modulated_weight_curvature_cuda(const ModulatedWeightCall& call,
                                     const ModulatedWeightPoint& point, const void* dy,
                                     const void* to_dw, const void* to_ds, void* e_dy, void* e_w,
                                     void* e_s, void* sums, void* stream);

/// The sums over a row that its gradients need.
template <typename T>
struct RowSums {
  T t = 0, r = 0, e = 0;
};

/// The factors of a row in the formulas above.
template <typename T>
struct RowFactors {
  T d, of_u, of_g, of_p;

  /// `d` is null without demodulation.
  GALETTE_HOST_DEVICE RowFactors(const T* d_or_null, const RowSums<T>& sums)
      : d(1), of_u(0), of_g(0), of_p(0) {
    if (d_or_null == nullptr) return;
    d = *d_or_null;
    const T cube = d * d * d;
    of_p = cube * sums.t;
    of_g = cube * sums.r;
    of_u = 3 * d * d * of_p * sums.r - cube * sums.e;
  }
  GALETTE_HOST_DEVICE T slope(T g, T u) const { return d * g - of_p * u; }
  GALETTE_HOST_DEVICE T slope_by_g(T p, T u) const { return d * p - of_g * u; }
  GALETTE_HOST_DEVICE T curvature(T g, T u, T p) const { return of_u * u - of_g * g - of_p * p; }
};

}  // namespace galette
