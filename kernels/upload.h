// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>

namespace galette {

/// `host` with the device and element type of `options`. To a GPU it travels from pinned memory,
/// and is converted there: the caller does not wait for the work that is queued on the GPU. On CPUs
/// the result may share the memory of `host`. Throws c10::Error during a NoUploads.
at::Tensor upload(const at::Tensor& host, const at::TensorOptions& options);

/// While one lives, nothing is brought from the host by any thread: work that is recorded would
/// read that memory again when it is repeated, when it holds something else.
class NoUploads {
 public:
  NoUploads();
  NoUploads(const NoUploads&) = delete;
  NoUploads& operator=(const NoUploads&) = delete;
  ~NoUploads();
};

}  // namespace galette
