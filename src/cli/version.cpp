// SPDX-License-Identifier: Apache-2.0
#include "cli/version.h"

#include <fmt/format.h>
#include <hdf5.h>
#include <mpi.h>
#include <torch/version.h>

#include "io/check.h"

namespace galette {
namespace {

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

#ifdef GALETTE_USE_CUDA
constexpr const char* kCuda = "yes";
#else
constexpr const char* kCuda = "no";
#endif

}  // namespace

std::string version_text() {
  return fmt::format("galette {}\nLibTorch {}\n{}\nHDF5 {}\nCUDA kernels: {}", GALETTE_VERSION,
                     TORCH_VERSION, mpi_version(), hdf5_version(), kCuda);
}

}  // namespace galette
