// SPDX-License-Identifier: Apache-2.0
// The formulas of the optimiser for one element, shared by the CPU and CUDA bodies, and the bodies.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/element_type.h"
#include "kernels/host_device.h"

namespace galette {

struct AdamStep {
  double lr = 0;          ///< Learning rate.
  double beta2 = 0.99;    ///< Decay of the second moment, in [0, 1).
  double eps = 1e-8;      ///< Added to the root of the second moment, > 0.
  int64_t step = 1;       ///< The number of this step, counted from 1.
  double grad_scale = 1;  ///< Applied to the gradient before anything else.
};

/// What a value that is not finite is replaced by: +-kInfinityStandIn, or zero for NaN.
constexpr double kInfinityStandIn = 1e5;

// The bodies, on n elements of `type`. The CPU body returns the number of values that were not
// finite, the CUDA body adds it to *nonfinite on the device. They run on the cudaStream_t `stream`.
int64_t adam_step_cpu(ElementType type, void* theta, const void* grad, void* v, int64_t n,
                      const AdamStep& step);
void adam_step_cuda(ElementType type, void* theta, const void* grad, void* v, int64_t n,
                    const AdamStep& step, int64_t* nonfinite, void* stream);
void ema_update_cpu(ElementType type, void* ema, const void* value, int64_t n, double beta);
void ema_update_cuda(ElementType type, void* ema, const void* value, int64_t n, double beta,
                     void* stream);

/// The borders of neighbouring segments, int64 [count + 1], and a mark for each: all in the memory
/// of the values that they are about.
struct SegmentMarks {
  const int64_t* bounds;
  int64_t count;
  int64_t* marks;
  int64_t mark;
};
void mark_non_finite_cpu(ElementType type, const void* values, int64_t begin, int64_t n,
                         const SegmentMarks& segments);
void mark_non_finite_cuda(ElementType type, const void* values, int64_t begin, int64_t n,
                          const SegmentMarks& segments, void* stream);

/// A matrix whose elements, row by row, are added to those of a range from `offset` on.
struct RangePiece {
  const void* values;
  int64_t offset, size;
  int64_t columns, row_stride, column_stride;
};
/// So many pieces travel with the arguments of one launch.
constexpr int kPiecesOfALaunch = 64;
void add_to_range_cpu(ElementType type, void* range, const RangePiece* pieces, int64_t count);
void add_to_range_cuda(ElementType type, void* range, const RangePiece* pieces, int64_t count,
                       void* stream);

/// Where element i of a piece is among its values.
GALETTE_HOST_DEVICE inline int64_t place_in(const RangePiece& piece, int64_t i) {
  return i / piece.columns * piece.row_stride + i % piece.columns * piece.column_stride;
}

template <typename T>
struct AdamScalars {
  T scale, beta2, rest, lr, correction, eps;
  explicit AdamScalars(const AdamStep& step)
      : scale(static_cast<T>(step.grad_scale)),
        beta2(static_cast<T>(step.beta2)),
        rest(static_cast<T>(1 - step.beta2)),
        lr(static_cast<T>(step.lr)),
        correction(static_cast<T>(
            1 / std::sqrt(1 - std::pow(step.beta2, static_cast<double>(step.step))))),
        eps(static_cast<T>(step.eps)) {}
};

/// False for NaN, too.
template <typename T>
GALETTE_HOST_DEVICE inline bool is_finite(T value) {
  return std::abs(value) <= std::numeric_limits<T>::max();
}

/// The segment of an element between the first border and the last one.
GALETTE_HOST_DEVICE inline int64_t segment_of(const SegmentMarks& segments, int64_t element) {
  int64_t first = 0, last = segments.count - 1;
  while (first < last) {
    const int64_t middle = (first + last + 1) / 2;
    if (segments.bounds[middle] <= element) {
      first = middle;
    } else {
      last = middle - 1;
    }
  }
  return first;
}

/// Updates theta and v from one gradient; returns whether the scaled gradient was finite.
template <typename T>
GALETTE_HOST_DEVICE inline bool adam_update(T& theta, T grad, T& v, const AdamScalars<T>& s) {
  const T scaled = s.scale * grad;
  const bool finite = is_finite(scaled);
  const T infinite = static_cast<T>(kInfinityStandIn);
  const T repaired = scaled > T(0) ? infinite : (scaled < T(0) ? -infinite : T(0));
  const T h = finite ? scaled : repaired;
  v = s.beta2 * v + s.rest * h * h;
  theta -= s.lr * h / (std::sqrt(v) * s.correction + s.eps);
  return finite;
}

/// Between value (beta = 0, exactly) and ema (beta = 1).
template <typename T>
GALETTE_HOST_DEVICE inline T ema_blend(T ema, T value, T beta) {
  return value + beta * (ema - value);
}

}  // namespace galette
