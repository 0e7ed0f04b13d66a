// SPDX-License-Identifier: Apache-2.0
// Errors, and the one check macro per foreign API. A message says what is wrong, where, and what
// to do about it, in one line; only src/main.cpp catches and prints it.
#pragma once

#include <stdexcept>
#include <string>

#include <mpi.h>

namespace galette {

/// Something the user gave is wrong: an option, a file, a folder. The program ends with exit
/// code 2.
class InputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file of the right kind whose content is broken: cut off, changed, or never finished.
class DamagedFile : public InputError {
 public:
  using InputError::InputError;
};

/// The text of an MPI error code.
std::string mpi_error_text(int code);

/// Why the last HDF5 call of this thread failed: the innermost message of its error stack.
std::string hdf5_error_text();

/// Throws std::runtime_error naming the call, the error text and the place.
[[noreturn]] void throw_mpi_error(int code, const char* call, const char* file, int line);
[[noreturn]] void throw_hdf5_error(const char* call, const char* file, int line);

}  // namespace galette

/// Evaluates an MPI call once; throws when it does not return MPI_SUCCESS.
#define MPI_CHECK(call)                                                      \
  do {                                                                       \
    const int mpi_check_code = (call);                                       \
    if (mpi_check_code != MPI_SUCCESS)                                       \
      ::galette::throw_mpi_error(mpi_check_code, #call, __FILE__, __LINE__); \
  } while (0)

/// Evaluates an HDF5 call and yields its result; throws when it is negative.
#define H5_CHECK(call)                                                               \
  ([&] {                                                                             \
    const auto h5_check_result = (call);                                             \
    if (h5_check_result < 0) ::galette::throw_hdf5_error(#call, __FILE__, __LINE__); \
    return h5_check_result;                                                          \
  }())
