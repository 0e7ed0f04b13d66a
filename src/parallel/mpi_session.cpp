// SPDX-License-Identifier: Apache-2.0
#include "parallel/mpi_session.h"

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sample_rng.h"
#include "io/check.h"

namespace galette {
namespace {

constexpr std::chrono::milliseconds kMeetingTime{2000};

/// Through the log where this rank has one, so that the run directory tells it too; else in one
/// write call, so that lines of several ranks do not mix.
void print_line(const std::string& line) {
  if (log::speaks()) return log::error_line(line);
  const std::string text = line + "\n";
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;  // nowhere left to say it
}

int environment_count(const char* name) {
  const char* text = std::getenv(name);
  int value = 0;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), value);
  return value;
}

}  // namespace

MpiSession::MpiSession(int* argc, char*** argv) {
  int granted = 0;
  MPI_CHECK(MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &granted));
  MPI_CHECK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  MPI_CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
  MPI_CHECK(MPI_Comm_size(MPI_COMM_WORLD, &size_));
  if (granted < MPI_THREAD_MULTIPLE) {
    throw std::runtime_error(
        "this MPI library does not allow calls from several threads "
        "(MPI_THREAD_MULTIPLE): use one that was built with it");
  }
  MPI_Comm host = MPI_COMM_NULL;
  MPI_CHECK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &host));
  MPI_CHECK(MPI_Comm_rank(host, &local_rank_));
  MPI_CHECK(MPI_Comm_size(host, &local_size_));
  MPI_CHECK(MPI_Comm_free(&host));
  MPI_CHECK(MPI_Comm_dup(MPI_COMM_WORLD, &failure_comm_));
  log::set_rank(rank_);
}

MpiSession::~MpiSession() {
  // A destructor cannot report; a failure here leaves nothing to save.
  if (failure_comm_ != MPI_COMM_NULL) MPI_Comm_free(&failure_comm_);
  MPI_Finalize();
}

int MpiSession::fail(const std::string& message, int exit_code) noexcept {
  try {
    if (size_ == 1) {
      print_line("galette: " + message);
      return exit_code;
    }
    if (all_ranks_fail()) {
      const bool same = all_ranks_say(message);
      if (same && rank_ == 0) print_line("galette: " + message);
      if (!same) print_line(fmt::format("galette: rank {}: {}", rank_, message));
      return exit_code;
    }
    print_line(fmt::format("galette: rank {}: {}", rank_, message));
  } catch (const std::exception& error) {
    print_line(fmt::format("galette: rank {}: {} (and then: {})", rank_, message, error.what()));
  }
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

bool MpiSession::all_ranks_fail() const {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_CHECK(MPI_Ibarrier(failure_comm_, &request));
  const auto deadline = std::chrono::steady_clock::now() + kMeetingTime;
  int done = 0;
  while (done == 0 && std::chrono::steady_clock::now() < deadline) {
    MPI_CHECK(MPI_Test(&request, &done, MPI_STATUS_IGNORE));
    if (done == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return done != 0;
}

bool MpiSession::all_ranks_say(const std::string& message) const {
  const uint64_t digest = fnv1a64(message);
  uint64_t ends[2] = {digest, ~digest};
  MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, ends, 2, MPI_UINT64_T, MPI_MAX, failure_comm_));
  return ends[0] == ~ends[1];
}

void require_complete_world(int world_size) {
  for (const char* name : {"SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const int tasks = environment_count(name);
    if (tasks <= world_size) continue;
    throw InputError(fmt::format(
        "{}={}, but this MPI world has {} rank{}: the ranks do not know each other; start them "
        "with "
        "`srun --mpi=pmix` or `mpirun -n {}` (or set {}={} when fewer ranks are wanted)",
        name, tasks, world_size, world_size == 1 ? "" : "s", tasks, name, world_size));
  }
}

}  // namespace galette
