// SPDX-License-Identifier: Apache-2.0
// Work on a GPU is queued, and the host runs ahead of it. What is here lets the host learn results
// and times later, without holding the queue up, and queue much work with one call. On CPUs, where
// nothing is queued, it does the same at once.
#pragma once

#include <functional>
#include <memory>

#include <ATen/ATen.h>

namespace galette {

/// A small tensor on its way to the host.
class HostCopy {
 public:
  virtual ~HostCopy() = default;
  /// Returns it when it is there; waits for no work that was queued later.
  virtual at::Tensor wait() = 0;
};

/// Queues a copy of `values` as they are after the work queued so far.
std::unique_ptr<HostCopy> start_host_copy(const at::Tensor& values);

/// Between two places of a device's queue.
class DeviceTimer {
 public:
  virtual ~DeviceTimer() = default;
  /// The second place is here.
  virtual void stop() = 0;
  /// Between the two; waits until the work between them is done.
  virtual double seconds() = 0;
};

/// The first place is here.
std::unique_ptr<DeviceTimer> start_timer(at::Device device);

/// Work that is recorded once and then queued again and again with one call, on the same memory:
/// what it reads may change in between, by its contents alone.
class RecordedWork {
 public:
  virtual ~RecordedWork() = default;
  /// Calls `work`, which queues on the current stream and waits for nothing; none of it is done.
  /// What it allocates stays as long as this object. When `work` throws, or cannot be recorded,
  /// throws, and nothing is recorded.
  virtual void record(const std::function<void()>& work) = 0;
  virtual void replay() = 0;
};

using Recorder = std::function<std::unique_ptr<RecordedWork>()>;
/// Makes CUDA graphs that share their memory: none of them may need what another one has left
/// there. Throws std::runtime_error in builds without CUDA.
Recorder make_gpu_recorder(at::Device device);

// For tensors and devices that are GPUs; in builds without CUDA they throw std::runtime_error.
std::unique_ptr<HostCopy> start_gpu_copy(const at::Tensor& values);
std::unique_ptr<DeviceTimer> start_gpu_timer(at::Device device);

}  // namespace galette
