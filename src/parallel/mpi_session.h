// SPDX-License-Identifier: Apache-2.0
// The life of MPI in this process, and how a run of many ranks ends when something goes wrong:
// together and with one line when every rank fails, else by ending all ranks at once.
#pragma once

#include <string>

#include <mpi.h>

namespace galette {

class MpiSession {
 public:
  /// Starts MPI with MPI_THREAD_MULTIPLE; errors of MPI calls are returned, not fatal.
  MpiSession(int* argc, char*** argv);
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  /// Finalizes MPI. Collective.
  ~MpiSession();

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_root() const { return rank_ == 0; }
  /// Place among the ranks that share this rank's host, and how many those are.
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }

  /// Called by a rank that fails; returns the exit code. When all ranks fail within two seconds
  /// they meet here: equal messages are printed once by rank 0, others by each rank, and all
  /// return. Otherwise prints `rank N: message` and ends all ranks (does not return).
  int fail(const std::string& message, int exit_code) noexcept;

 private:
  bool all_ranks_fail() const;
  bool all_ranks_say(const std::string& message) const;

  int rank_ = 0;
  int size_ = 1;
  int local_rank_ = 0;
  int local_size_ = 1;
  MPI_Comm failure_comm_ = MPI_COMM_NULL;  ///< nothing else may use it: a failed rank waits on it
};

/// Throws InputError when the scheduler or launcher started more tasks than this MPI world has
/// ranks: each task would then train alone, on top of the others.
void require_complete_world(int world_size);

}  // namespace galette
