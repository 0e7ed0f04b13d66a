// SPDX-License-Identifier: Apache-2.0
// The formulas of bias_act for one element, shared by the CPU and CUDA bodies, and what the bodies
// are given. z = x + bias is the activation's argument and u = y / gain its value. Except for
// swish, both derivatives are functions of u alone, which is why only y is kept for the backward
// pass.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/element_type.h"
#include "kernels/host_device.h"

namespace galette {

enum class Activation { kLinear, kRelu, kLrelu, kTanh, kSigmoid, kElu, kSelu, kSoftplus, kSwish };

/// One call of a body. Element (o, c, j) lies at (o * channels + c) * inner + j and has bias c;
/// without bias, outer = channels = 1.
struct BiasActCall {
  Activation act = Activation::kLinear;
  double alpha = 0;
  double gain = 1;
  double clamp = 0;
  bool has_clamp = false;
  ElementType type = ElementType::kFloat32;
  int64_t outer = 1;
  int64_t channels = 1;
  int64_t inner = 1;
};

// The bodies. Pointers are to contiguous elements of call.type. `reference` is the saved x of swish
// and the saved y of all others (unread for linear without clamp); `bias` may be null.
//   forward:    y  = clamp(gain act(x + bias))
//   gradient:   dx = dy M gain act'(z), and unless db is null db[c] = sum of dx over o and j
//   curvature:  h  = dy e k, where k is M gain act''(z) for swish (d(dx)/dx) and M d(act')/du for
//               the others (d(dx)/dy)
// M is 1 where the result is strictly inside the clamp, 0 elsewhere.
void bias_act_forward_cpu(const BiasActCall& call, const void* x, const void* bias, void* y);
void bias_act_gradient_cpu(const BiasActCall& call, const void* dy, const void* reference,
                           const void* bias, void* dx, void* db);
void bias_act_curvature_cpu(const BiasActCall& call, const void* dy, const void* e,
                            const void* reference, const void* bias, void* h);
// The CUDA bodies run on the cudaStream_t `stream` and leave the sum over dx to the caller.
void bias_act_forward_cuda(const BiasActCall& call, const void* x, const void* bias, void* y,
                           void* stream);
void bias_act_gradient_cuda(const BiasActCall& call, const void* dy, const void* reference,
                            const void* bias, void* dx, void* stream);
void bias_act_curvature_cuda(const BiasActCall& call, const void* dy, const void* e,
                             const void* reference, const void* bias, void* h, void* stream);

/// The scalars in the type of the arithmetic.
template <typename T>
struct BiasActScalars {
  T alpha, gain, inverse_gain, clamp;
  bool has_clamp;
  explicit BiasActScalars(const BiasActCall& call)
      : alpha(static_cast<T>(call.alpha)),
        gain(static_cast<T>(call.gain)),
        inverse_gain(static_cast<T>(call.gain == 0 ? 0 : 1 / call.gain)),
        clamp(static_cast<T>(call.has_clamp ? call.clamp : INFINITY)),
        has_clamp(call.has_clamp) {}
};

// Klambauer et al. 2017, "Self-Normalizing Neural Networks".
constexpr double kSeluLambda = 1.0507009873554804934193349852946;
constexpr double kSeluLambdaAlpha = kSeluLambda * 1.6732632423543772848170429916717;

template <typename T>
GALETTE_HOST_DEVICE inline T logistic(T z) {
  return T(1) / (T(1) + std::exp(-z));
}

/// act(z)
template <Activation A, typename T>
GALETTE_HOST_DEVICE inline T activate(T z, T alpha) {
  if constexpr (A == Activation::kRelu) return z < T(0) ? T(0) : z;
  if constexpr (A == Activation::kLrelu) return z > T(0) ? z : alpha * z;
  if constexpr (A == Activation::kTanh) return std::tanh(z);
  if constexpr (A == Activation::kSigmoid) return logistic(z);
  if constexpr (A == Activation::kElu) return z >= T(0) ? z : std::expm1(z);
  if constexpr (A == Activation::kSelu)
    return z >= T(0) ? T(kSeluLambda) * z : T(kSeluLambdaAlpha) * std::expm1(z);
  if constexpr (A == Activation::kSoftplus)
    return (z > T(0) ? z : T(0)) + std::log1p(std::exp(-std::abs(z)));
  if constexpr (A == Activation::kSwish) return z * logistic(z);
  return z;
}

/// act'(z), from z for swish and from u = act(z) for the others.
template <Activation A, typename T>
GALETTE_HOST_DEVICE inline T slope(T z_or_u, T alpha) {
  const T u = z_or_u;
  if constexpr (A == Activation::kRelu) return u > T(0) ? T(1) : T(0);
  if constexpr (A == Activation::kLrelu) return u > T(0) ? T(1) : alpha;
  if constexpr (A == Activation::kTanh) return T(1) - u * u;
  if constexpr (A == Activation::kSigmoid) return u * (T(1) - u);
  if constexpr (A == Activation::kElu) return u >= T(0) ? T(1) : u + T(1);
  if constexpr (A == Activation::kSelu) return u >= T(0) ? T(kSeluLambda) : u + T(kSeluLambdaAlpha);
  if constexpr (A == Activation::kSoftplus) return -std::expm1(-u);
  if constexpr (A == Activation::kSwish) {
    const T s = logistic(u);
    return s * (T(1) + u * (T(1) - s));
  }
  return T(1);
}

/// act''(z) for swish, d(act')/du for the others.
template <Activation A, typename T>
GALETTE_HOST_DEVICE inline T bend(T z_or_u) {
  const T u = z_or_u;
  if constexpr (A == Activation::kTanh) return T(-2) * u;
  if constexpr (A == Activation::kSigmoid) return T(1) - T(2) * u;
  if constexpr (A == Activation::kElu || A == Activation::kSelu) return u >= T(0) ? T(0) : T(1);
  if constexpr (A == Activation::kSoftplus) return std::exp(-u);
  if constexpr (A == Activation::kSwish) {
    const T s = logistic(u);
    return s * (T(1) - s) * (T(2) + u * (T(1) - T(2) * s));
  }
  return T(0);
}

template <Activation A, typename T>
GALETTE_HOST_DEVICE inline T bias_act_forward(T x, T bias, const BiasActScalars<T>& s) {
  const T v = s.gain * activate<A>(x + bias, s.alpha);
  // Written so that NaN passes through.
  const T above = v < -s.clamp ? -s.clamp : v;
  return above > s.clamp ? s.clamp : above;
}

/// Whether the result lies strictly inside the clamp, and the argument of slope and bend.
template <Activation A, typename T>
struct BiasActPoint {
  T z_or_u;
  bool inside;
  GALETTE_HOST_DEVICE inline BiasActPoint(T reference, T bias, const BiasActScalars<T>& s) {
    T y = reference;
    if constexpr (A == Activation::kSwish) {
      z_or_u = reference + bias;
      y = s.gain * activate<A>(z_or_u, s.alpha);
    } else {
      z_or_u = reference * s.inverse_gain;
    }
    inside = (!s.has_clamp) | ((y > -s.clamp) & (y < s.clamp));
  }
};

template <Activation A, typename T>
GALETTE_HOST_DEVICE inline T bias_act_gradient(T dy, T reference, T bias,
                                               const BiasActScalars<T>& s) {
  const BiasActPoint<A, T> p(reference, bias, s);
  return p.inside ? dy * (s.gain * slope<A>(p.z_or_u, s.alpha)) : T(0);
}

template <Activation A, typename T>
GALETTE_HOST_DEVICE inline T bias_act_curvature(T dy, T e, T reference, T bias,
                                                const BiasActScalars<T>& s) {
  const BiasActPoint<A, T> p(reference, bias, s);
  const T scale = A == Activation::kSwish ? s.gain : T(1);
  return p.inside ? dy * e * (scale * bend<A>(p.z_or_u)) : T(0);
}

/// Calls f(std::integral_constant<Activation, act>).
template <class F>
void with_activation(Activation act, F&& f) {
  using A = Activation;
  switch (act) {
    case A::kLinear:
      return f(std::integral_constant<A, A::kLinear>{});
    case A::kRelu:
      return f(std::integral_constant<A, A::kRelu>{});
    case A::kLrelu:
      return f(std::integral_constant<A, A::kLrelu>{});
    case A::kTanh:
      return f(std::integral_constant<A, A::kTanh>{});
    case A::kSigmoid:
      return f(std::integral_constant<A, A::kSigmoid>{});
    case A::kElu:
      return f(std::integral_constant<A, A::kElu>{});
    case A::kSelu:
      return f(std::integral_constant<A, A::kSelu>{});
    case A::kSoftplus:
      return f(std::integral_constant<A, A::kSoftplus>{});
    case A::kSwish:
      return f(std::integral_constant<A, A::kSwish>{});
  }
}

}  // namespace galette
