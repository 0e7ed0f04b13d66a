// SPDX-License-Identifier: Apache-2.0
#include "kernels/philox_normal.h"

#include <algorithm>

#include <ATen/DeviceGuard.h>

#include "kernels/dispatch.h"
#include "kernels/philox_normal_math.h"

namespace galette {

void fill_normal_on_gpu(const at::Tensor& values, const std::vector<uint32_t>& rows,
                        const PhiloxStream& stream, const at::Tensor& c2) {
  const ElementType type = checked_element_type(values, "fill_normal", "values");
  TORCH_CHECK(type == ElementType::kFloat32 || type == ElementType::kFloat64,
              "fill_normal: values are of type ", values.scalar_type(),
              "; give float32 or float64");
  TORCH_CHECK(values.is_cuda() && values.is_contiguous() && values.dim() >= 1 &&
                  values.size(0) == static_cast<int64_t>(rows.size()),
              "fill_normal: values have shape ", values.sizes(), " on ", values.device(), " for ",
              rows.size(), " rows; give a contiguous CUDA tensor with as many");
  TORCH_CHECK(!c2.defined() || (c2.device() == values.device() && c2.scalar_type() == at::kInt &&
                                c2.numel() == 1),
              "fill_normal: c2 must be one int32 on ", values.device());
  if (values.numel() == 0) return;
  const int64_t n = values.numel() / values.size(0);
  TORCH_CHECK(n <= int64_t{1} << 34, "fill_normal: a row of more than 2^34 elements");
  const c10::DeviceGuard device(values.device());
  const int32_t* const live_c2 = c2.defined() ? c2.const_data_ptr<int32_t>() : nullptr;
  char* data = static_cast<char*>(values.mutable_data_ptr());
  for (size_t first = 0; first < rows.size(); first += kRowsOfALaunch) {
    PhiloxRows part;
    part.count = static_cast<int>(std::min<size_t>(kRowsOfALaunch, rows.size() - first));
    std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(first), part.count, part.row);
    fill_normal_cuda(type, data, part, n, stream, live_c2, current_cuda_stream(values));
    data += part.count * n * values.element_size();
  }
}

}  // namespace galette
