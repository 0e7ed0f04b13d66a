// SPDX-License-Identifier: Apache-2.0
// Failing together: file work that may fail on some ranks only ends with the same exception on all.
#pragma once

#include <functional>
#include <string>

#include <mpi.h>

namespace galette::io {

int comm_rank(MPI_Comm comm);
int comm_size(MPI_Comm comm);

/// Runs `work` on every rank. When it throws anywhere, all ranks throw the message of the lowest
/// rank that failed, as DamagedFile, InputError or std::runtime_error. Collective.
void together(MPI_Comm comm, const std::function<void()>& work);

/// Runs `work` on rank 0 alone; failures as above. Collective.
void on_root(MPI_Comm comm, const std::function<void()>& work);

/// The text of rank `root`, on all ranks. Collective.
std::string broadcast_text(MPI_Comm comm, const std::string& text, int root = 0);

}  // namespace galette::io
