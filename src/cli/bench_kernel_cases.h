// SPDX-License-Identifier: Apache-2.0
// Operators as `galette bench kernels` measures them: at sizes of training, in float32, each beside
// the same composed of LibTorch's operators.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

namespace galette {

using Tensors = std::vector<at::Tensor>;
using Operator = std::function<at::Tensor(const Tensors&)>;

/// What a pass costs at least: multiplications and additions, and bytes of the tensors that must be
/// read and written once.
struct Cost {
  double operations = 0, bytes = 0;
};

struct KernelCase {
  std::string name;
  Tensors inputs;  ///< all are differentiated
  Operator ours, plain;
  Cost forward, backward;
};

/// bias_act, upfirdn2d, filtered_lrelu, line_decoder, and on CPUs conv2d_3x3, on `batch` samples of
/// random numbers on a device.
std::vector<KernelCase> kernel_cases(int64_t batch, at::Device device);

double bytes_of(const Tensors& tensors);

}  // namespace galette
