// SPDX-License-Identifier: Apache-2.0
// The check of every call of the CUDA runtime in the .cu files.
#pragma once

#include <stdexcept>
#include <string>

#include <cuda_runtime.h>

namespace galette {

inline void check_cuda(cudaError_t code, const char* call, const char* file, int line) {
  if (code == cudaSuccess) return;
  throw std::runtime_error(std::string(call) + " failed: " + cudaGetErrorString(code) + " (" +
                           file + ":" + std::to_string(line) + ")");
}

}  // namespace galette

/// Evaluates a CUDA runtime call once; throws std::runtime_error unless it succeeds. After a
/// launch, give cudaGetLastError().
#define CUDA_CHECK(call) ::galette::check_cuda((call), #call, __FILE__, __LINE__)
