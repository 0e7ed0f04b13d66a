// SPDX-License-Identifier: Apache-2.0
// The guard interface of c10 gives streams without any CUDA header, so this file is the same in
// builds without CUDA.
#include "kernels/dispatch.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>

namespace galette {

ElementType checked_element_type(const at::Tensor& tensor, const char* op, const char* name) {
  TORCH_CHECK(tensor.defined(), op, ": ", name, " is not defined");
  TORCH_CHECK(tensor.is_cpu() || tensor.is_cuda(), op, ": ", name, " is on device ",
              tensor.device(), "; give a CPU or CUDA tensor");
  switch (tensor.scalar_type()) {
    case at::kDouble:
      return ElementType::kFloat64;
    case at::kFloat:
      return ElementType::kFloat32;
    case at::kHalf:
      if (tensor.is_cuda()) return ElementType::kFloat16;
      break;
    case at::kBFloat16:
      if (tensor.is_cuda()) return ElementType::kBFloat16;
      break;
    default:
      break;
  }
  TORCH_CHECK(false, op, ": ", name, " is of type ", tensor.scalar_type(), " on ", tensor.device(),
              "; give float32 or float64 (on CUDA also float16 or bfloat16)");
}

bool computes_as_float32(const at::Tensor& tensor) {
  return tensor.defined() && tensor.is_cpu() && at::isReducedFloatingType(tensor.scalar_type());
}

void* current_cuda_stream(const at::Tensor& tensor) {
  return c10::impl::getDeviceGuardImpl(at::kCUDA)->getStream(tensor.device()).native_handle();
}

}  // namespace galette
