// SPDX-License-Identifier: Apache-2.0
// The optimiser's work on flat ranges of a parameter arena, one pass over memory each. Ranges are
// one-dimensional and contiguous, of type float32 or float64; those of one call are of equal
// length, type and device. The result of an element depends on nothing else, so it is the same
// whatever the number of threads and however an arena is cut into ranges.
#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "kernels/multi_tensor_math.h"

namespace galette {

/// One step of Adam without first moment (Kingma and Ba 2015 with beta1 = 0), in place:
///
///   h = sanitised(grad_scale * grad)       NaN -> 0, +inf -> 1e5, -inf -> -1e5
///   v = beta2 v + (1 - beta2) h^2
///   theta = theta - lr h / (sqrt(v) / sqrt(1 - beta2^step) + eps)
///
/// `step.step` counts from 1. Returns how many values of grad_scale * grad were not finite. Throws
/// c10::Error when shapes, types or devices differ or an argument is out of its range.
int64_t adam_step(const at::Tensor& theta, const at::Tensor& grad, const at::Tensor& v,
                  const AdamStep& step);
/// The same, but adds the number to `nonfinite`, int64 [] on the same device, for which the caller
/// need not wait.
void adam_step(const at::Tensor& theta, const at::Tensor& grad, const at::Tensor& v,
               const AdamStep& step, const at::Tensor& nonfinite);

/// Exponential moving average, in place: ema = value + beta (ema - value), with beta in [0, 1].
/// beta = 0 copies value exactly.
void ema_update(const at::Tensor& ema, const at::Tensor& value, double beta);

/// Looks for NaN and infinity: marks[s] = mark for each segment s, elements bounds[s] to
/// bounds[s + 1], that has one among `values`, which are the elements from `begin` on. Other marks
/// stay. `bounds` [S + 1], rising, and `marks` [S] are int64 on the device of the values, for which
/// the caller need not wait. The values lie between the first and the last of the bounds.
void mark_non_finite(const at::Tensor& values, int64_t begin, const at::Tensor& bounds,
                     const at::Tensor& marks, int64_t mark);

/// A tensor of any shape and strides whose elements, in their order, are added to those of a range
/// from `offset` on.
struct RangeAddend {
  at::Tensor values;
  int64_t offset = 0;
};

/// range[offset + i] += values[i] for all addends, which are of the range's type and device and
/// meet different elements of it. One operation for kPiecesOfALaunch tensors of up to two strides.
void add_to_range(const at::Tensor& range, const std::vector<RangeAddend>& addends);

}  // namespace galette
