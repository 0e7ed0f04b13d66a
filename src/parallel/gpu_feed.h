// SPDX-License-Identifier: Apache-2.0
// Brings batches from host memory to a GPU while it computes.
#pragma once

#include <memory>
#include <vector>

#include <ATen/ATen.h>

namespace galette {

/// Two buffers on a GPU take turns: one is worked with while the next batch travels into the other,
/// on a stream of its own. Events order the two streams; the host waits for neither. For one
/// thread.
class GpuFeed {
 public:
  virtual ~GpuFeed() = default;

  /// Begins to copy a batch, of the same shapes and types every time. Only copies from pinned
  /// memory return at once; that memory is kept until they are done. It ends the use of the batch
  /// before the one received last: no work with it may be queued any more.
  virtual void send(const std::vector<at::Tensor>& batch) = 0;
  /// The batch that was sent last; what this thread queues from now on waits until it is there.
  virtual std::vector<at::Tensor> receive() = 0;
};

/// Throws std::runtime_error in builds without CUDA.
std::unique_ptr<GpuFeed> make_gpu_feed(at::Device device);

}  // namespace galette
