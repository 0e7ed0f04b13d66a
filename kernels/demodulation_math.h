// SPDX-License-Identifier: Apache-2.0
// The formulas of demodulation, shared by the CPU and CUDA bodies, and what the bodies are given.
//
//   E[o,i] = sum of w^2 over the taps,   d[n,o] = (sum of s[n,i]^2 E[o,i] over i + 1e-8)^(-1/2)
//
// With a relative epsilon, 1e-8 is taken of the mean of w^2 over i and taps times the mean of s^2
// over i. That is d for E' = E + c times the sum of E over i, c = 1e-8 / (I^2 taps), and no
// epsilon. Spreading a sum like this is its own transpose; f' stands for it below, without it f' =
// f.
//
// With z = -g d^3 for a gradient g of d:
//   F[o,i] = sum of z s^2 over n,   dw = w F',   ds = s times the sum of z E' over o.
// Of a further cotangent (A of dw, B of ds), with H = sum of A w over the taps and
//   m[n,o] = sum of s^2 H' + B s E' over i,   v = 3/2 g d^5 m,   G[o,i] = sum of v s^2 + z B s over
//   n,
// the loss, the sum of z m, has the gradients
//   by g:  -d^3 m,   by w:  2 w G' + A F',   by s:  sum of 2 s (v E' + z H') + z B E' over o.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/element_type.h"
#include "kernels/host_device.h"

namespace galette {

struct DemodulationCall {
  ElementType type = ElementType::kFloat32;  ///< float32 or float64
  int64_t samples = 1;
  int64_t out = 1;
  int64_t in = 1;
  int64_t taps = 1;
  bool relative = false;  ///< the epsilon
};

constexpr double kDemodulationEpsilon = 1e-8;

/// The factor c of what is spread over a row of E.
inline double spread_factor(const DemodulationCall& call) {
  const auto in = static_cast<double>(call.in);
  return call.relative ? kDemodulationEpsilon / (in * in * static_cast<double>(call.taps)) : 0;
}

/// What the derivatives read: w [O, I, taps], s [N, I], E' [O, I], d [N, O].
struct DemodulationPoint {
  const void* w;
  const void* s;
  const void* energy;
  const void* d;
};

// The bodies. Every pointer is to contiguous elements of call.type. Results have the same bits on
// any number of threads.
//   forward:    E' and d
//   gradient:   of g [N, O]: dw, unless it is null, and ds
//   curvature:  of the cotangents to_dw (may be null: none) and to_ds of the latter: e_g, e_w, e_s
void demodulation_forward_cpu(const DemodulationCall& call, const void* w, const void* s,
                              void* energy, void* d);
void demodulation_gradient_cpu(const DemodulationCall& call, const DemodulationPoint& point,
                               const void* g, void* dw, void* ds);
void demodulation_curvature_cpu(const DemodulationCall& call, const DemodulationPoint& point,
                                const void* g, const void* to_dw, const void* to_ds, void* e_g,
                                void* e_w, void* e_s);
// On the cudaStream_t `stream`; the curvature with room for H' [O, I] and v [N, O].
void demodulation_forward_cuda(const DemodulationCall& call, const void* w, const void* s,
                               void* energy, void* d, void* stream);
void demodulation_gradient_cuda(const DemodulationCall& call, const DemodulationPoint& point,
                                const void* g, void* dw, void* ds, void* stream);
void demodulation_curvature_cuda(const DemodulationCall& call, const DemodulationPoint& point,
                                 const void* g, const void* to_dw, const void* to_ds, void* e_g,
                                 void* e_w, void* e_s, void* scratch, void* stream);

/// d of the sum over a row.
template <typename T>
GALETTE_HOST_DEVICE inline T demodulation_factor(T sum, bool relative) {
  return T(1) / std::sqrt(relative ? sum : sum + T(kDemodulationEpsilon));
}

/// z of a gradient g.
template <typename T>
GALETTE_HOST_DEVICE inline T demodulation_slope(T g, T d) {
  return -g * d * d * d;
}

/// v of a gradient g.
template <typename T>
GALETTE_HOST_DEVICE inline T demodulation_bend(T g, T d, T m) {
  return T(1.5) * g * (d * d) * (d * d) * d * m;
}

}  // namespace galette
