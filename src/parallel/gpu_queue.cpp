// SPDX-License-Identifier: Apache-2.0
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include "parallel/device_queue.h"

namespace galette {
namespace {

class GpuCopy final : public HostCopy {
 public:
  explicit GpuCopy(const at::Tensor& values)
      : host_(at::empty(values.sizes(), at::TensorOptions(values.dtype()).pinned_memory(true))) {
    host_.copy_(values, /*non_blocking=*/true);
    copied_.record(c10::cuda::getCurrentCUDAStream(values.device().index()));
  }
  at::Tensor wait() override {
    copied_.synchronize();
    return host_;
  }

 private:
  at::Tensor host_;
  at::cuda::CUDAEvent copied_;
};

class GpuTimer final : public DeviceTimer {
 public:
  explicit GpuTimer(at::Device device) : device_(device) { record(begin_); }
  void stop() override { record(end_); }
  double seconds() override {
    end_.synchronize();
    return static_cast<double>(begin_.elapsed_time(end_)) / 1000;
  }

 private:
  void record(at::cuda::CUDAEvent& event) const {
    event.record(c10::cuda::getCurrentCUDAStream(device_.index()));
  }

  at::Device device_;
  at::cuda::CUDAEvent begin_{cudaEventDefault}, end_{cudaEventDefault};
};

class CudaGraph final : public RecordedWork {
 public:
  CudaGraph(at::Device device, c10::MempoolId_t pool) : device_(device), pool_(pool) {}

  void record(const std::function<void()>& work) override {
    const c10::cuda::CUDAGuard guard(device_);
    // What earlier runs of this work have used would lie beside the memory of the graph.
    c10::cuda::CUDACachingAllocator::emptyCache();
    // Other threads, those of NCCL and of the copies, may go on with what a recording forbids.
    graph_.capture_begin(pool_, cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (...) {
      abandon();
      throw;
    }
    graph_.capture_end();
  }

  void replay() override {
    const c10::cuda::CUDAGuard guard(device_);
    graph_.replay();
  }

 private:
  /// Ends a recording that has failed already.
  void abandon() {
    try {
      graph_.capture_end();
    } catch (const c10::Error&) {  // NOLINT(bugprone-empty-catch): the first one is the one to tell
    }
    cudaGetLastError();
  }

  at::Device device_;
  c10::MempoolId_t pool_;
  at::cuda::CUDAGraph graph_;
};

}  // namespace

std::unique_ptr<HostCopy> start_gpu_copy(const at::Tensor& values) {
  return std::make_unique<GpuCopy>(values);
}

std::unique_ptr<DeviceTimer> start_gpu_timer(at::Device device) {
  return std::make_unique<GpuTimer>(device);
}

Recorder make_gpu_recorder(at::Device device) {
  return [device, pool = at::cuda::graph_pool_handle()] {
    return std::make_unique<CudaGraph>(device, pool);
  };
}

}  // namespace galette
