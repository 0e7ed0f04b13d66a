// SPDX-License-Identifier: Apache-2.0
// Checks and dispatch of tallies.
#include "kernels/tally.h"

#include <ATen/DeviceGuard.h>
#include <ATen/record_function.h>

#include "kernels/dispatch.h"

namespace galette {
namespace {

void check_sums(Tally tally, const at::Tensor& values, const at::Tensor& sums) {
  const bool are_counts = tally == Tally::signs;
  const std::vector<int64_t> shape = are_counts               ? std::vector<int64_t>{4}
                                     : tally == Tally::scores ? std::vector<int64_t>{2, 3}
                                                              : std::vector<int64_t>{3};
  TORCH_CHECK(sums.defined() && sums.sizes() == shape && sums.is_contiguous() &&
                  sums.scalar_type() == (are_counts ? at::kLong : at::kDouble) &&
                  sums.device() == values.device(),
              "add_tally: sums must be contiguous ", are_counts ? "int64 " : "float64 ",
              at::IntArrayRef(shape), " on ", values.device());
}

}  // namespace

void add_tally(Tally tally, const at::Tensor& values, const at::Tensor& sums) {
  if (computes_as_float32(values)) return add_tally(tally, values.to(at::kFloat), sums);
  const ElementType type = checked_element_type(values, "add_tally", "values");
  check_sums(tally, values, sums);
  if (values.numel() == 0) return;
  const at::Tensor row = values.contiguous();
  RECORD_FUNCTION("galette::add_tally", {});
  if (!row.is_cuda()) {
    return add_tally_cpu(type, tally, row.const_data_ptr(), row.numel(), sums.mutable_data_ptr());
  }
  const c10::DeviceGuard device(row.device());
  add_tally_cuda(type, tally, row.const_data_ptr(), row.numel(), sums.mutable_data_ptr(),
                 current_cuda_stream(row));
}

}  // namespace galette
