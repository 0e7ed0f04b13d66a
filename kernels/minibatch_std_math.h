// SPDX-License-Identifier: Apache-2.0
// The formulas of the minibatch standard deviation for one element of a group's features, shared by
// the CPU and CUDA bodies, and what the bodies are given. With g samples in a group, K elements in
// a part, u[i] = x[i] - mean and s as in minibatch_std.h, a further channel is t = mean of s. Of a
// gradient dy, e being the sum of it over the further channel of a group:
//
//   dx[i] = dy[i] + a u[i] / s                       a = e / (g K)
//
// and of a cotangent q of that, b being the sum of q[i] u[i] over the group:
//
//   by dy: q[i], and for the further channel the sum of b / (g K s) over p
//   by x:  a / s (q[i] - mean of q - b / (g s^2) u[i])
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/element_type.h"
#include "kernels/host_device.h"

namespace galette {

struct MinibatchStdCall {
  ElementType type = ElementType::kFloat32;  ///< float32 or float64
  int64_t groups = 1;
  int64_t size = 1;      ///< samples of a group
  int64_t parts = 1;     ///< further channels
  int64_t elements = 1;  ///< of a part: some channels of all pixels
  int64_t pixels = 1;

  GALETTE_HOST_DEVICE int64_t x_sample() const { return parts * elements; }
  GALETTE_HOST_DEVICE int64_t y_sample() const { return parts * (elements + pixels); }
};

// The bodies. Pointers are to contiguous elements of call.type: x, dx, q and by_x like the input,
// y, dy and by_dy like the output. Results have the same bits on any number of threads.
void minibatch_std_forward_cpu(const MinibatchStdCall& call, const void* x, void* y);
void minibatch_std_gradient_cpu(const MinibatchStdCall& call, const void* x, const void* dy,
                                void* dx);
void minibatch_std_curvature_cpu(const MinibatchStdCall& call, const void* x, const void* dy,
                                 const void* q, void* by_dy, void* by_x);
// On the cudaStream_t `stream`.
void minibatch_std_forward_cuda(const MinibatchStdCall& call, const void* x, void* y, void* stream);
void minibatch_std_gradient_cuda(const MinibatchStdCall& call, const void* x, const void* dy,
                                 void* dx, void* stream);
void minibatch_std_curvature_cuda(const MinibatchStdCall& call, const void* x, const void* dy,
                                  const void* q, void* by_dy, void* by_x, void* stream);

constexpr double kMinibatchStdEpsilon = 1e-8;

/// Mean and s of the values x[0], x[stride], ... of a group.
struct GroupMoments {
  double mean = 0, deviation = 0;
  template <typename T>
  GALETTE_HOST_DEVICE GroupMoments(const T* x, int64_t stride, int64_t size) {
    for (int64_t i = 0; i < size; ++i) mean += static_cast<double>(x[i * stride]);
    mean /= static_cast<double>(size);
    double squares = 0;
    for (int64_t i = 0; i < size; ++i) {
      const double u = static_cast<double>(x[i * stride]) - mean;
      squares += u * u;
    }
    deviation = std::sqrt(squares / static_cast<double>(size) + kMinibatchStdEpsilon);
  }
};

/// One part of one group: where its samples begin, and what is done for each of its elements.
template <typename T>
struct GroupPart {
  int64_t size, elements, pixels;
  int64_t x_first, x_stride;  ///< of the part's elements in tensors like x
  int64_t y_first, y_stride;  ///< the same in tensors like y
  int64_t extra;              ///< of the further channel in tensors like y

  GALETTE_HOST_DEVICE GroupPart(const MinibatchStdCall& call, int64_t group, int64_t part)
      : size(call.size),
        elements(call.elements),
        pixels(call.pixels),
        x_first(group * size * call.x_sample() + part * elements),
        x_stride(call.x_sample()),
        y_first(group * size * call.y_sample() + part * elements),
        y_stride(call.y_sample()),
        extra(group * size * call.y_sample() + call.parts * elements + part * pixels) {}

  /// Copies element p of all samples; returns its s.
  GALETTE_HOST_DEVICE double forward(const T* x, T* y, int64_t p) const {
    for (int64_t i = 0; i < size; ++i)
      y[y_first + i * y_stride + p] = x[x_first + i * x_stride + p];
    return GroupMoments(x + x_first + p, x_stride, size).deviation;
  }
  /// a, from the sum of dy over the further channel.
  GALETTE_HOST_DEVICE double factor(double e) const {
    return e / (static_cast<double>(size) * static_cast<double>(elements));
  }
  GALETTE_HOST_DEVICE void gradient(const T* x, const T* dy, double a, T* dx, int64_t p) const {
    const GroupMoments m(x + x_first + p, x_stride, size);
    for (int64_t i = 0; i < size; ++i) {
      const int64_t at = x_first + i * x_stride + p;
      const double u = static_cast<double>(x[at]) - m.mean;
      dx[at] =
          static_cast<T>(static_cast<double>(dy[y_first + i * y_stride + p]) + a * u / m.deviation);
    }
  }
  /// Returns b / s.
  GALETTE_HOST_DEVICE double curvature(const T* x, const T* q, double a, T* by_dy, T* by_x,
                                       int64_t p) const {
    const GroupMoments m(x + x_first + p, x_stride, size);
    double b = 0, mean = 0;
    for (int64_t i = 0; i < size; ++i) {
      const int64_t at = x_first + i * x_stride + p;
      by_dy[y_first + i * y_stride + p] = q[at];
      b += static_cast<double>(q[at]) * (static_cast<double>(x[at]) - m.mean);
      mean += static_cast<double>(q[at]);
    }
    mean /= static_cast<double>(size);
    const double bend = b / (static_cast<double>(size) * m.deviation * m.deviation);
    for (int64_t i = 0; i < size; ++i) {
      const int64_t at = x_first + i * x_stride + p;
      const double u = static_cast<double>(x[at]) - m.mean;
      by_x[at] = static_cast<T>(a / m.deviation * (static_cast<double>(q[at]) - mean - bend * u));
    }
    return b / m.deviation;
  }
  /// Element j of the further channel of all samples, one after the other.
  GALETTE_HOST_DEVICE int64_t extra_at(int64_t j) const {
    return extra + j / pixels * y_stride + j % pixels;
  }
};

}  // namespace galette
