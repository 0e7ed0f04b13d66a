// SPDX-License-Identifier: Apache-2.0
// What this program knows of GPUs, in builds with and without CUDA: gpu_cuda.cpp or no_gpu.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "parallel/mpi_communicator.h"

namespace galette {

/// Whether this program was built with its CUDA kernels and NCCL.
bool is_built_with_cuda();

/// PCI ids, such as 0000:3b:00.0, of the GPUs that this process sees, in the order of their
/// numbers; none without a GPU, a driver, or CUDA in this build.
std::vector<std::string> visible_gpus();

/// Makes GPU `index` the one that this thread uses from now on, on a stream of its own: work on the
/// default stream cannot be recorded (device_queue.h).
void use_gpu(int index);

/// Sums over the tensors of GPU `index`, which this rank uses alone; tensors in host memory travel
/// as with `comm`. Collective.
std::unique_ptr<Communicator> make_gpu_communicator(const MpiCommunicator& comm, int index);

/// What LibTorch's tensors take of a GPU, in bytes.
struct GpuMemory {
  int64_t allocated = 0;
  int64_t reserved = 0;  ///< with what LibTorch keeps for later tensors
};

/// The most of either since the last call; 0 for CPUs.
GpuMemory take_peak_gpu_memory(at::Device device);

/// Returns when the work that is queued on `device` is done; at once for CPUs.
void wait_for_device(at::Device device);

/// The version of NCCL, or "no".
std::string nccl_version();

}  // namespace galette
