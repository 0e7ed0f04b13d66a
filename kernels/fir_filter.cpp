// SPDX-License-Identifier: Apache-2.0
#include "kernels/fir_filter.h"

#include <cmath>

namespace galette {

at::Tensor setup_filter(const at::Tensor& taps, const SetupFilterOptions& options) {
  at::Tensor f = taps.defined() ? taps.to(at::kCPU, at::kDouble) : at::ones({}, at::kDouble);
  if (f.dim() == 0) f = f.view({1});
  TORCH_CHECK(f.dim() <= 2 && f.numel() > 0, "setup_filter: taps have shape ", f.sizes(),
              "; give a scalar, a vector or a matrix that is not empty");
  const bool separable = f.dim() == 1 && options.separable.value_or(f.numel() >= 8);
  TORCH_CHECK(f.dim() == 1 || !options.separable.value_or(false), "setup_filter: taps have shape ",
              f.sizes(), "; only a vector can be separable");
  if (f.dim() == 1 && !separable) f = f.outer(f);
  if (options.normalize) {
    const double sum = f.sum().item<double>();
    TORCH_CHECK(sum != 0, "setup_filter: the taps sum to zero; set normalize to false");
    f = f / sum;
  }
  if (options.flip_filter) f = separable ? f.flip({0}) : f.flip({0, 1});
  const double gain = separable ? std::sqrt(options.gain) : options.gain;
  return (f * gain).to(options.dtype).contiguous();
}

at::Tensor setup_filter(const std::vector<double>& taps, const SetupFilterOptions& options) {
  return setup_filter(at::tensor(at::ArrayRef<double>(taps), at::kDouble), options);
}

}  // namespace galette
