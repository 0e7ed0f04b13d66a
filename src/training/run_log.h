// SPDX-License-Identifier: Apache-2.0
// log.txt over several starts of a run. A checkpoint remembers how long the file was; when a run
// goes on from there, what was logged after it is moved to log-lost.txt, so that log.txt tells each
// tick once. What this start has logged so far stays.
#pragma once

#include <cstdint>
#include <string>

#include <mpi.h>

namespace galette {

class RunLog {
 public:
  /// Logs to log.txt of a folder from now on, on the rank that speaks. Throws InputError when it
  /// cannot be opened.
  explicit RunLog(const std::string& folder);

  /// Bytes of the file, for a checkpoint; 0 when there is none.
  int64_t size() const;
  /// Moves what earlier starts logged after `size` bytes out of the file. Collective.
  void go_back_to(int64_t size, MPI_Comm comm);

 private:
  void cut(int64_t size);

  std::string path_, lost_path_;
  int64_t start_;  ///< where this start's lines begin
};

}  // namespace galette
