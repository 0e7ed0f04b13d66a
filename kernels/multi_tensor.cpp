// SPDX-License-Identifier: Apache-2.0
// Checks and dispatch of the operations on flat ranges.
#include "kernels/multi_tensor.h"

#include <optional>
#include <utility>

#include <ATen/DeviceGuard.h>
#include <ATen/record_function.h>

#include "kernels/dispatch.h"

namespace galette {
namespace {

/// `tensor` must be flat and contiguous like the first argument of `op`.
void check_like(const at::Tensor& tensor, const at::Tensor& first, const char* op,
                const char* name) {
  TORCH_CHECK(tensor.defined(), op, ": ", name, " is not defined");
  TORCH_CHECK(tensor.dim() == 1 && tensor.is_contiguous(), op, ": ", name, " has shape ",
              tensor.sizes(), " and strides ", tensor.strides(),
              "; give a one-dimensional contiguous range");
  TORCH_CHECK(tensor.numel() == first.numel() && tensor.scalar_type() == first.scalar_type() &&
                  tensor.device() == first.device(),
              op, ": ", name, " has ", tensor.numel(), " elements of ", tensor.scalar_type(),
              " on ", tensor.device(), ", the first range ", first.numel(), " of ",
              first.scalar_type(), " on ", first.device());
}

ElementType checked_range(const at::Tensor& range, const char* op, const char* name) {
  const ElementType type = checked_element_type(range, op, name);
  TORCH_CHECK(type == ElementType::kFloat32 || type == ElementType::kFloat64, op, ": ", name,
              " is of type ", range.scalar_type(), "; give float32 or float64");
  check_like(range, range, op, name);
  return type;
}

void check_step(const AdamStep& step) {
  TORCH_CHECK(step.step >= 1, "adam_step: step is ", step.step, "; steps count from 1");
  TORCH_CHECK(step.beta2 >= 0 && step.beta2 < 1, "adam_step: beta2 is ", step.beta2,
              "; give 0 <= beta2 < 1");
  TORCH_CHECK(step.eps > 0, "adam_step: eps is ", step.eps, "; give a positive one");
}

void check_segments(const at::Tensor& values, const at::Tensor& bounds, const at::Tensor& marks) {
  for (const auto& [name, tensor] : {std::pair("bounds", bounds), std::pair("marks", marks)}) {
    TORCH_CHECK(tensor.defined() && tensor.scalar_type() == at::kLong && tensor.dim() == 1 &&
                    tensor.is_contiguous() && tensor.device() == values.device(),
                "mark_non_finite: ", name, " must be one contiguous row of int64 on ",
                values.device());
  }
  TORCH_CHECK(marks.numel() >= 1 && bounds.numel() == marks.numel() + 1,
              "mark_non_finite: ", bounds.numel(), " bounds and ", marks.numel(),
              " marks; give a bound more than marks");
}

/// The tensor as a matrix, unless it needs more than two strides.
std::optional<RangePiece> piece_of(const RangeAddend& addend) {
  const at::Tensor& values = addend.values;
  RangePiece piece{values.const_data_ptr(), addend.offset, values.numel(), 1, 0, 0};
  int64_t rows = 1;
  for (int64_t axis = values.dim() - 1; axis >= 0; --axis) {
    const int64_t size = values.size(axis), stride = values.stride(axis);
    if (size == 1) continue;
    if (rows == 1 && piece.columns == 1) piece.column_stride = stride;
    if (rows == 1 && stride == piece.column_stride * piece.columns) {
      piece.columns *= size;
    } else if (rows == 1) {
      piece.row_stride = stride;
      rows = size;
    } else if (stride == piece.row_stride * rows) {
      rows *= size;
    } else {
      return std::nullopt;
    }
  }
  return piece;
}

void check_addend(const RangeAddend& addend, const at::Tensor& range) {
  const at::Tensor& values = addend.values;
  TORCH_CHECK(values.defined() && values.scalar_type() == range.scalar_type() &&
                  values.device() == range.device(),
              "add_to_range: values must be ", range.scalar_type(), " on ", range.device());
  TORCH_CHECK(addend.offset >= 0 && addend.offset + values.numel() <= range.numel(),
              "add_to_range: ", values.numel(), " values at ", addend.offset,
              " do not lie in a range of ", range.numel());
}

}  // namespace

int64_t adam_step(const at::Tensor& theta, const at::Tensor& grad, const at::Tensor& v,
                  const AdamStep& step) {
  TORCH_CHECK(theta.defined(), "adam_step: theta is not defined");
  const at::Tensor nonfinite = at::zeros({}, theta.options().dtype(at::kLong));
  adam_step(theta, grad, v, step, nonfinite);
  return nonfinite.item<int64_t>();
}

void adam_step(const at::Tensor& theta, const at::Tensor& grad, const at::Tensor& v,
               const AdamStep& step, const at::Tensor& nonfinite) {
  const ElementType type = checked_range(theta, "adam_step", "theta");
  check_like(grad, theta, "adam_step", "grad");
  check_like(v, theta, "adam_step", "v");
  check_step(step);
  TORCH_CHECK(nonfinite.defined() && nonfinite.scalar_type() == at::kLong &&
                  nonfinite.numel() == 1 && nonfinite.device() == theta.device(),
              "adam_step: nonfinite must be one int64 on ", theta.device());
  if (theta.numel() == 0) return;
  RECORD_FUNCTION("galette::adam_step", {});
  int64_t* const count = nonfinite.mutable_data_ptr<int64_t>();
  if (!theta.is_cuda()) {
    *count += adam_step_cpu(type, theta.mutable_data_ptr(), grad.const_data_ptr(),
                            v.mutable_data_ptr(), theta.numel(), step);
    return;
  }
  const c10::DeviceGuard device(theta.device());
  adam_step_cuda(type, theta.mutable_data_ptr(), grad.const_data_ptr(), v.mutable_data_ptr(),
                 theta.numel(), step, count, current_cuda_stream(theta));
}

void ema_update(const at::Tensor& ema, const at::Tensor& value, double beta) {
  const ElementType type = checked_range(ema, "ema_update", "ema");
  check_like(value, ema, "ema_update", "value");
  TORCH_CHECK(beta >= 0 && beta <= 1, "ema_update: beta is ", beta, "; give 0 <= beta <= 1");
  if (ema.numel() == 0) return;
  RECORD_FUNCTION("galette::ema_update", {});
  if (!ema.is_cuda()) {
    return ema_update_cpu(type, ema.mutable_data_ptr(), value.const_data_ptr(), ema.numel(), beta);
  }
  const c10::DeviceGuard device(ema.device());
  ema_update_cuda(type, ema.mutable_data_ptr(), value.const_data_ptr(), ema.numel(), beta,
                  current_cuda_stream(ema));
}

void mark_non_finite(const at::Tensor& values, int64_t begin, const at::Tensor& bounds,
                     const at::Tensor& marks, int64_t mark) {
  const ElementType type = checked_range(values, "mark_non_finite", "values");
  check_segments(values, bounds, marks);
  if (values.numel() == 0) return;
  RECORD_FUNCTION("galette::mark_non_finite", {});
  const SegmentMarks segments{bounds.const_data_ptr<int64_t>(), marks.numel(),
                              marks.mutable_data_ptr<int64_t>(), mark};
  if (!values.is_cuda()) {
    return mark_non_finite_cpu(type, values.const_data_ptr(), begin, values.numel(), segments);
  }
  const c10::DeviceGuard device(values.device());
  mark_non_finite_cuda(type, values.const_data_ptr(), begin, values.numel(), segments,
                       current_cuda_stream(values));
}

void add_to_range(const at::Tensor& range, const std::vector<RangeAddend>& addends) {
  const ElementType type = checked_range(range, "add_to_range", "range");
  std::vector<RangePiece> pieces;
  for (const RangeAddend& addend : addends) {
    check_addend(addend, range);
    if (addend.values.numel() == 0) continue;
    if (const std::optional<RangePiece> piece = piece_of(addend)) {
      pieces.push_back(*piece);
    } else {
      range.narrow(0, addend.offset, addend.values.numel())
          .view(addend.values.sizes())
          .add_(addend.values);
    }
  }
  if (pieces.empty()) return;
  RECORD_FUNCTION("galette::add_to_range", {});
  const auto count = static_cast<int64_t>(pieces.size());
  if (!range.is_cuda())
    return add_to_range_cpu(type, range.mutable_data_ptr(), pieces.data(), count);
  const c10::DeviceGuard device(range.device());
  add_to_range_cuda(type, range.mutable_data_ptr(), pieces.data(), count,
                    current_cuda_stream(range));
}

}  // namespace galette
