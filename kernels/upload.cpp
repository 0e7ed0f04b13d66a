// SPDX-License-Identifier: Apache-2.0
#include "kernels/upload.h"

#include <atomic>

namespace galette {
namespace {

std::atomic<int> forbidding{0};

}  // namespace

NoUploads::NoUploads() {
  ++forbidding;
}

NoUploads::~NoUploads() {
  --forbidding;
}

at::Tensor upload(const at::Tensor& host, const at::TensorOptions& options) {
  TORCH_CHECK(forbidding == 0 || !host.is_cpu(), "upload: a tensor of shape ", host.sizes(),
              " is brought from the host by work that is recorded");
  if (!host.is_cpu() || options.device().is_cpu()) return host.to(options);
  // LibTorch keeps a pinned block until the copy from it is done, and then uses it again.
  const at::Tensor source = options.device().is_cuda() ? host.contiguous().pin_memory() : host;
  return source.to(options.device(), source.scalar_type(), /*non_blocking=*/true).to(options);
}

}  // namespace galette
