// SPDX-License-Identifier: Apache-2.0
#include "parallel/device_queue.h"

#include "base/clock.h"

namespace galette {
namespace {

class ReadyCopy final : public HostCopy {
 public:
  explicit ReadyCopy(at::Tensor values) : values_(std::move(values)) {}
  at::Tensor wait() override { return values_; }

 private:
  at::Tensor values_;
};

class HostTimer final : public DeviceTimer {
 public:
  void stop() override { seconds_ = seconds_since(begin_); }
  double seconds() override { return seconds_; }

 private:
  Clock::time_point begin_ = Clock::now();
  double seconds_ = 0;
};

}  // namespace

std::unique_ptr<HostCopy> start_host_copy(const at::Tensor& values) {
  if (values.is_cuda()) return start_gpu_copy(values);
  return std::make_unique<ReadyCopy>(values.clone());
}

std::unique_ptr<DeviceTimer> start_timer(at::Device device) {
  if (device.is_cuda()) return start_gpu_timer(device);
  return std::make_unique<HostTimer>();
}

}  // namespace galette
