// SPDX-License-Identifier: Apache-2.0
// What every kernel does before it runs its CPU or CUDA body: check the element type, find the
// stream.
#pragma once

#include <optional>
#include <string>

#include <ATen/ATen.h>

#include "kernels/element_type.h"

namespace galette {

/// The element type of argument `name` of operator `op`. Throws c10::Error unless it is float32 or
/// float64, or float16 or bfloat16 on CUDA, and the device is one of the two.
ElementType checked_element_type(const at::Tensor& tensor, const char* op, const char* name);

/// The arguments `weight` and `style` of operator `op` must be of one device and both float32 or
/// both float64. Throws c10::Error.
void check_real_pair(const char* op, const at::Tensor& weight, const at::Tensor& style);

/// Whether a tensor is of a 16-bit type on the CPU. The bodies there take float32 and float64, so
/// an operator converts such a tensor, computes, and rounds the result once.
bool computes_as_float32(const at::Tensor& tensor);

/// The order in which an operator on images works on `x` and lays out its results: channels last
/// for images [N, C, H, W] that lie so and not in the ordinary order as well, as one channel does.
at::MemoryFormat kept_format(const at::Tensor& x);

/// The cudaStream_t on which LibTorch runs the tensor's device now.
void* current_cuda_stream(const at::Tensor& tensor);

/// How operators with a fused body compute: with it, or as a composition of LibTorch's operators,
/// by which the fused bodies are checked and measured. GALETTE_KERNELS=plain asks for the latter.
enum class KernelPath { fused, plain };

/// What the environment asks for; fused by default. Throws c10::Error on an unknown value.
KernelPath kernel_path();

/// What is wrong with GALETTE_KERNELS, in words; nothing when it is fine.
std::optional<std::string> kernel_path_error();

/// While it lives, kernel_path() is `path` on all threads.
class KernelPathGuard {
 public:
  explicit KernelPathGuard(KernelPath path);
  KernelPathGuard(const KernelPathGuard&) = delete;
  KernelPathGuard& operator=(const KernelPathGuard&) = delete;
  ~KernelPathGuard();

 private:
  KernelPath before_;
};

}  // namespace galette
