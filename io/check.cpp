// SPDX-License-Identifier: Apache-2.0
#include "io/check.h"

#include <string_view>

#include <fmt/format.h>
#include <hdf5.h>

namespace galette {
namespace {

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

/// The innermost message of HDF5's error stack, which is the one that says why.
herr_t keep_first_description(unsigned depth, const H5E_error2_t* error, void* text) {
  if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

}  // namespace

std::string mpi_error_text(int code) {
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  if (MPI_Error_string(code, text, &length) != MPI_SUCCESS)
    return fmt::format("MPI error {}", code);
  return std::string(text, static_cast<size_t>(length));
}

void throw_mpi_error(int code, const char* call, const char* file, int line) {
  throw std::runtime_error(
      fmt::format("{} failed at {}:{}: {}", call, base_name(file), line, mpi_error_text(code)));
}

std::string hdf5_error_text() {
  std::string why = "no details";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first_description, &why);
  std::erase(why, '\n');  // its time stamps end in one
  return why;
}

void throw_hdf5_error(const char* call, const char* file, int line) {
  throw std::runtime_error(
      fmt::format("{} failed at {}:{}: {}", call, base_name(file), line, hdf5_error_text()));
}

}  // namespace galette
