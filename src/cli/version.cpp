// SPDX-License-Identifier: Apache-2.0
#include "cli/version.h"

#include <ATen/Version.h>
#include <fmt/format.h>
#include <hdf5.h>
#include <mpi.h>
#include <torch/version.h>

#include "io/check.h"
#include "kernels/cpu_isa.h"
#include "parallel/gpu.h"

namespace galette {
namespace {

#ifdef __clang__
constexpr const char* kCompiler = "Clang " __clang_version__;
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

std::string hdf5_version() {
  unsigned major = 0, minor = 0, release = 0;
  H5_CHECK(H5get_libversion(&major, &minor, &release));
  return fmt::format("{}.{}.{}", major, minor, release);
}

/// The library's text up to the first comma or line break; the rest is about its build.
std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_CHECK(MPI_Get_library_version(text, &length));
  const std::string version(text, static_cast<size_t>(length));
  return version.substr(0, version.find_first_of(",\n"));
}

std::string cuda_text() {
#ifdef GALETTE_USE_CUDA
  return fmt::format("yes, CUDA {}, architectures {}", GALETTE_CUDA_VERSION, GALETTE_CUDA_ARCHS);
#else
  return "no";
#endif
}

/// What the operators are compiled for, and what this machine takes of it.
std::string instruction_sets() {
#ifdef __x86_64__
  return fmt::format("x86-64, AVX2 with FMA and AVX-512; here: {}; LibTorch's own operators: {}",
                     cpu_isa_name(cpu_isa_error() ? largest_cpu_isa() : cpu_isa()),
                     at::get_cpu_capability());
#else
  return fmt::format("the compiler's; LibTorch's own operators: {}", at::get_cpu_capability());
#endif
}

}  // namespace

std::string version_text() {
  return fmt::format(
      "galette {}\nLibTorch {}\n{}\nHDF5 {}\nCUDA kernels: {}\nNCCL: {}\ncompiler: {}\n"
      "build type: {}\ninstruction sets: {}",
      GALETTE_VERSION, TORCH_VERSION, mpi_version(), hdf5_version(), cuda_text(), nccl_version(),
      kCompiler, GALETTE_BUILD_TYPE, instruction_sets());
}

}  // namespace galette
