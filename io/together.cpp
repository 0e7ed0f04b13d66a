// SPDX-License-Identifier: Apache-2.0
#include "io/together.h"

#include <cstdint>

#include "io/check.h"

namespace galette::io {
namespace {

enum class Outcome : int { fine, runtime_error, input_error, damaged_file };

struct Result {
  Outcome outcome = Outcome::fine;
  std::string message;
};

Result attempt(const std::function<void()>& work) {
  try {
    work();
    return {};
  } catch (const DamagedFile& error) {
    return {Outcome::damaged_file, error.what()};
  } catch (const InputError& error) {
    return {Outcome::input_error, error.what()};
  } catch (const std::exception& error) {
    return {Outcome::runtime_error, error.what()};
  }
}

[[noreturn]] void rethrow(Outcome outcome, const std::string& message) {
  if (outcome == Outcome::damaged_file) throw DamagedFile(message);
  if (outcome == Outcome::input_error) throw InputError(message);
  throw std::runtime_error(message);
}

}  // namespace

int comm_rank(MPI_Comm comm) {
  int rank = 0;
  MPI_CHECK(MPI_Comm_rank(comm, &rank));
  return rank;
}

int comm_size(MPI_Comm comm) {
  int size = 0;
  MPI_CHECK(MPI_Comm_size(comm, &size));
  return size;
}

void together(MPI_Comm comm, const std::function<void()>& work) {
  const Result mine = attempt(work);
  const int nobody = comm_size(comm);
  int first = mine.outcome == Outcome::fine ? nobody : comm_rank(comm);
  MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, comm));
  if (first == nobody) return;
  int outcome = static_cast<int>(mine.outcome);
  MPI_CHECK(MPI_Bcast(&outcome, 1, MPI_INT, first, comm));
  rethrow(static_cast<Outcome>(outcome), broadcast_text(comm, mine.message, first));
}

void on_root(MPI_Comm comm, const std::function<void()>& work) {
  const bool root = comm_rank(comm) == 0;
  together(comm, [&] {
    if (root) work();
  });
}

std::string broadcast_text(MPI_Comm comm, const std::string& text, int root) {
  int64_t size = static_cast<int64_t>(text.size());
  MPI_CHECK(MPI_Bcast(&size, 1, MPI_INT64_T, root, comm));
  std::string result = text;
  result.resize(static_cast<size_t>(size));
  MPI_CHECK(MPI_Bcast(result.data(), static_cast<int>(size), MPI_CHAR, root, comm));
  return result;
}

}  // namespace galette::io
