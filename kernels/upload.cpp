// SPDX-License-Identifier: Apache-2.0
#include "kernels/upload.h"

namespace galette {

at::Tensor upload(const at::Tensor& host, const at::TensorOptions& options) {
  if (!host.is_cpu() || options.device().is_cpu()) return host.to(options);
  // LibTorch keeps a pinned block until the copy from it is done, and then uses it again.
  const at::Tensor source = options.device().is_cuda() ? host.contiguous().pin_memory() : host;
  return source.to(options.device(), source.scalar_type(), /*non_blocking=*/true).to(options);
}

}  // namespace galette
