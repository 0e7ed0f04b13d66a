// SPDX-License-Identifier: Apache-2.0
#include "parallel/gpu_feed.h"

#include <array>

#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace galette {
namespace {

class StreamFeed final : public GpuFeed {
 public:
  explicit StreamFeed(at::Device device)
      : device_(device),
        copies_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())) {}

  void send(const std::vector<at::Tensor>& batch) override {
    const c10::cuda::CUDAGuard guard(device_);
    sent_ = 1 - sent_;
    Buffer& buffer = buffers_[sent_];
    if (buffer.tensors.empty()) allocate(buffer, batch);
    // All that was ever queued on this stream, the last use of the buffer included, comes first.
    at::cuda::CUDAEvent used;
    used.record(c10::cuda::getCurrentCUDAStream(device_.index()));
    used.block(copies_);
    {
      const c10::cuda::CUDAStreamGuard on_copies(copies_);
      for (size_t i = 0; i < batch.size(); ++i)
        buffer.tensors[i].copy_(batch[i], /*non_blocking=*/true);
    }
    buffer.copied.record(copies_);
  }

  std::vector<at::Tensor> receive() override {
    Buffer& buffer = buffers_[sent_];
    buffer.copied.block(c10::cuda::getCurrentCUDAStream(device_.index()));
    return buffer.tensors;
  }

 private:
  struct Buffer {
    std::vector<at::Tensor> tensors;
    at::cuda::CUDAEvent copied;
  };

  void allocate(Buffer& buffer, const std::vector<at::Tensor>& batch) {
    for (const at::Tensor& host : batch) {
      buffer.tensors.push_back(at::empty(host.sizes(), host.options().device(device_)));
      // In the end a copy may still be under way into memory that belongs to the other stream.
      c10::cuda::CUDACachingAllocator::recordStream(buffer.tensors.back().storage().data_ptr(),
                                                    copies_);
    }
  }

  at::Device device_;
  c10::cuda::CUDAStream copies_;
  std::array<Buffer, 2> buffers_;
  size_t sent_ = 0;  ///< the buffer that was written last
};

}  // namespace

std::unique_ptr<GpuFeed> make_gpu_feed(at::Device device) {
  return std::make_unique<StreamFeed>(device);
}

}  // namespace galette
