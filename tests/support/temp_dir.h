// SPDX-License-Identifier: Apache-2.0
// A fresh folder for a test, the same on all ranks; gone when the object is. Making and removing it
// are collective.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

#include <mpi.h>
#include <unistd.h>

namespace galette::testing {

class TempDir {
 public:
  explicit TempDir(MPI_Comm comm = MPI_COMM_SELF) : comm_(comm) {
    char name[] = "/tmp/galette-test-XXXXXX";
    if (rank() == 0 && mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp failed");
    MPI_Bcast(name, sizeof(name), MPI_CHAR, 0, comm_);
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    MPI_Barrier(comm_);
    std::error_code ignored;
    if (rank() == 0) std::filesystem::remove_all(path_, ignored);
  }
  std::string path() const { return path_; }
  /// The path of a file in the folder.
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  int rank() const {
    int rank = 0;
    MPI_Comm_rank(comm_, &rank);
    return rank;
  }
  MPI_Comm comm_;
  std::string path_;
};

}  // namespace galette::testing
