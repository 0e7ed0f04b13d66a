// SPDX-License-Identifier: Apache-2.0
// log.txt over several starts of a run. A checkpoint remembers how long the file was; when a run
// goes on from there, the status lines of later ticks are removed, since those ticks come again.
// All else that was logged, such as why an earlier start ended, stays.
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
  /// Removes the status lines that earlier starts logged after `size` bytes. Collective.
  void go_back_to(int64_t size, MPI_Comm comm);

 private:
  void remove_ticks_after(int64_t size) const;

  std::string path_;
  int64_t start_;  ///< where this start's lines begin
};

}  // namespace galette
