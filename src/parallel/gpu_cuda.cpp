// SPDX-License-Identifier: Apache-2.0
#include <array>

#include <ATen/Context.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nccl.h>

#include "kernels/cuda_check.h"
#include "parallel/gpu.h"
#include "parallel/nccl_communicator.h"

namespace galette {

bool is_built_with_cuda() {
  return true;
}

std::vector<std::string> visible_gpus() {
  std::vector<std::string> ids;
  const c10::DeviceIndex count = c10::cuda::device_count();
  for (int index = 0; index < int{count}; ++index) {
    std::array<char, 32> id{};
    CUDA_CHECK(cudaDeviceGetPCIBusId(id.data(), static_cast<int>(id.size()), index));
    ids.emplace_back(id.data());
  }
  return ids;
}

void use_gpu(int index) {
  at::globalContext().lazyInitDevice(at::kCUDA);
  const auto device = static_cast<c10::DeviceIndex>(index);
  c10::cuda::set_device(device);
  c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device));
}

std::unique_ptr<Communicator> make_gpu_communicator(const MpiCommunicator& comm, int index) {
  return std::make_unique<NcclCommunicator>(
      comm.handle(), at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index)));
}

GpuMemory take_peak_gpu_memory(at::Device device) {
  if (!device.is_cuda()) return {};
  namespace allocator = c10::cuda::CUDACachingAllocator;
  constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const auto stats = allocator::getDeviceStats(device.index());
  allocator::resetPeakStats(device.index());
  return {stats.allocated_bytes[kAll].peak, stats.reserved_bytes[kAll].peak};
}

void wait_for_device(at::Device device) {
  if (!device.is_cuda()) return;
  const c10::cuda::CUDAGuard guard(device);
  c10::cuda::device_synchronize();
}

std::string nccl_version() {
  int version = 0;
  NCCL_CHECK(ncclGetVersion(&version));
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace galette
