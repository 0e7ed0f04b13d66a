// SPDX-License-Identifier: Apache-2.0
// Takes the place of gpu_cuda.cpp, gpu_feed.cpp, gpu_queue.cpp and nccl_communicator.cpp in builds
// without CUDA.
#include <stdexcept>

#include "parallel/device_queue.h"
#include "parallel/gpu.h"
#include "parallel/gpu_feed.h"

namespace galette {
namespace {

[[noreturn]] void no_cuda() {
  throw std::runtime_error(
      "this program was built without CUDA: configure it with -DGALETTE_CUDA=ON");
}

}  // namespace

bool is_built_with_cuda() {
  return false;
}

std::vector<std::string> visible_gpus() {
  return {};
}

void use_gpu(int) {
  no_cuda();
}

std::unique_ptr<Communicator> make_gpu_communicator(const MpiCommunicator&, int) {
  no_cuda();
}

GpuMemory take_peak_gpu_memory(at::Device) {
  return {};
}

void wait_for_device(at::Device) {}

std::unique_ptr<GpuFeed> make_gpu_feed(at::Device) {
  no_cuda();
}

std::unique_ptr<HostCopy> start_gpu_copy(const at::Tensor&) {
  no_cuda();
}

std::unique_ptr<DeviceTimer> start_gpu_timer(at::Device) {
  no_cuda();
}

Recorder make_gpu_recorder(at::Device) {
  no_cuda();
}

std::string nccl_version() {
  return "no";
}

}  // namespace galette
