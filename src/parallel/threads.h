// SPDX-License-Identifier: Apache-2.0
// Divides the cores of a host between the ranks on it, so that several ranks do not each start a
// thread per core. OMP_NUM_THREADS overrides; a binding of the ranks to cores is respected.
#pragma once

#include <string>
#include <vector>

#include <mpi.h>

namespace galette {

/// Threads for rank `own`, given the cores that each rank of the host may run on: a core that k
/// ranks may use counts 1/k. At least 1.
int fair_threads(const std::vector<std::vector<int>>& cores_of_ranks, size_t own);

/// Sets LibTorch's thread count on this rank and returns a line for the log, such as
/// `2 ranks on host n1, 2 cores: 1 thread each`. Collective over `comm`.
std::string divide_threads(MPI_Comm comm);

}  // namespace galette
