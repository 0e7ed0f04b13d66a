// SPDX-License-Identifier: Apache-2.0
#include "parallel/threads.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <set>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include "base/host_name.h"
#include "io/check.h"

namespace galette {
namespace {

/// One byte per core that Linux may number: 1 where this process may run.
std::vector<unsigned char> own_mask() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<unsigned char> mask(CPU_SETSIZE, 0);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return mask;  // more cores than a cpu_set_t
  for (size_t core = 0; core < mask.size(); ++core) mask[core] = CPU_ISSET(core, &set) != 0;
  return mask;
}

std::vector<std::vector<int>> gather_cores(MPI_Comm host) {
  int size = 0;
  MPI_CHECK(MPI_Comm_size(host, &size));
  const std::vector<unsigned char> own = own_mask();
  const auto width = static_cast<int>(own.size());
  std::vector<unsigned char> all(own.size() * static_cast<size_t>(size));
  MPI_CHECK(MPI_Allgather(own.data(), width, MPI_BYTE, all.data(), width, MPI_BYTE, host));
  std::vector<std::vector<int>> cores(static_cast<size_t>(size));
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i] != 0) cores[i / own.size()].push_back(static_cast<int>(i % own.size()));
  }
  return cores;
}

/// The first number of OMP_NUM_THREADS; 0 when it is not set.
int requested_threads() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  int value = 0;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), value);
  return std::max(value, 0);
}

std::string describe(const std::vector<std::vector<int>>& cores, int threads, bool requested) {
  std::set<int> usable;
  for (const auto& list : cores) usable.insert(list.begin(), list.end());
  std::string line = fmt::format("{} rank{} on host {}, {} core{}: {} thread{}{}", cores.size(),
                                 cores.size() == 1 ? "" : "s", host_name(), usable.size(),
                                 usable.size() == 1 ? "" : "s", threads, threads == 1 ? "" : "s",
                                 cores.size() == 1 ? "" : " each");
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  if (requested) {
    line += " (OMP_NUM_THREADS)";
  } else if (online > static_cast<long>(usable.size())) {
    line += fmt::format(" (the host has {} cores; mpirun --bind-to none gives all)", online);
  }
  return line;
}

}  // namespace

int fair_threads(const std::vector<std::vector<int>>& cores_of_ranks, size_t own) {
  double share = 0;
  for (const int core : cores_of_ranks[own]) {
    const auto users = std::count_if(
        cores_of_ranks.begin(), cores_of_ranks.end(), [&](const std::vector<int>& cores) {
          return std::find(cores.begin(), cores.end(), core) != cores.end();
        });
    share += 1.0 / static_cast<double>(users);
  }
  return std::max(1, static_cast<int>(share + 1e-6));  // a sum of thirds may fall short of 1
}

std::string divide_threads(MPI_Comm comm) {
  MPI_Comm host = MPI_COMM_NULL;
  MPI_CHECK(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host));
  int own = 0;
  MPI_CHECK(MPI_Comm_rank(host, &own));
  const std::vector<std::vector<int>> cores = gather_cores(host);
  MPI_CHECK(MPI_Comm_free(&host));
  const int requested = requested_threads();
  const int threads = requested > 0 ? requested : fair_threads(cores, static_cast<size_t>(own));
  at::set_num_threads(threads);
  return describe(cores, threads, requested > 0);
}

}  // namespace galette
