// SPDX-License-Identifier: Apache-2.0
// The guard interface of c10 gives streams without any CUDA header, so this file is the same in
// builds without CUDA.
#include "kernels/dispatch.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

#include <c10/core/impl/DeviceGuardImplInterface.h>

namespace galette {
namespace {

std::string_view requested_path() {
  const char* text = std::getenv("GALETTE_KERNELS");
  return text == nullptr ? "fused" : text;
}

std::atomic<KernelPath>& current_path() {
  static std::atomic<KernelPath> path = [] {
    const std::optional<std::string> error = kernel_path_error();
    TORCH_CHECK(!error, *error);
    return requested_path() == "plain" ? KernelPath::plain : KernelPath::fused;
  }();
  return path;
}

}  // namespace

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

void check_real_pair(const char* op, const at::Tensor& weight, const at::Tensor& style) {
  TORCH_CHECK(weight.scalar_type() == style.scalar_type() && weight.device() == style.device(), op,
              ": weight is ", weight.scalar_type(), " on ", weight.device(), ", style ",
              style.scalar_type(), " on ", style.device(), "; give both the same type and device");
  TORCH_CHECK(weight.scalar_type() == at::kFloat || weight.scalar_type() == at::kDouble, op,
              ": weight is of type ", weight.scalar_type(), "; give float32 or float64");
}

bool computes_as_float32(const at::Tensor& tensor) {
  return tensor.defined() && tensor.is_cpu() && at::isReducedFloatingType(tensor.scalar_type());
}

at::MemoryFormat kept_format(const at::Tensor& x) {
  const bool channels_last = x.dim() == 4 && !x.is_contiguous() &&
                             x.suggest_memory_format() == at::MemoryFormat::ChannelsLast;
  return channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

void* current_cuda_stream(const at::Tensor& tensor) {
  return c10::impl::getDeviceGuardImpl(at::kCUDA)->getStream(tensor.device()).native_handle();
}

KernelPath kernel_path() {
  return current_path();
}

std::optional<std::string> kernel_path_error() {
  const std::string_view path = requested_path();
  if (path == "fused" || path == "plain") return std::nullopt;
  return "GALETTE_KERNELS=" + std::string(path) + ": give fused or plain, or leave it unset";
}

KernelPathGuard::KernelPathGuard(KernelPath path) : before_(current_path().exchange(path)) {}

KernelPathGuard::~KernelPathGuard() {
  current_path() = before_;
}

}  // namespace galette
