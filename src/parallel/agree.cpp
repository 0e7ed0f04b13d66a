// SPDX-License-Identifier: Apache-2.0
#include "parallel/agree.h"

#include <fmt/format.h>

#include "io/check.h"

namespace galette {
namespace {

enum Outcome : int64_t { fine = 0, failed = 1, bad_input = 2 };

struct Result {
  Outcome outcome = fine;
  std::string message;
};

Result attempt(const std::function<void()>& work) {
  try {
    work();
  } catch (const InputError& error) {
    return {bad_input, error.what()};
  } catch (const std::exception& error) {
    return {failed, error.what()};
  }
  return {};
}

}  // namespace

void agree_or_throw(Communicator& comm, const std::function<void()>& work) {
  const Result own = attempt(work);
  at::Tensor outcomes = at::empty({comm.size()}, at::kLong);
  comm.all_gather(at::full({1}, static_cast<int64_t>(own.outcome), at::kLong), outcomes);
  const at::Tensor failures = outcomes.nonzero();
  if (failures.numel() == 0) return;
  const auto first = failures[0].item<int>();
  std::string message = comm.broadcast(own.message, first);
  // Rank 0 often works for all; a failure of another rank alone is worth its number.
  if (first != 0) message = fmt::format("rank {}: {}", first, message);
  if (outcomes[first].item<int64_t>() == bad_input) throw InputError(message);
  throw std::runtime_error(message);
}

std::string run_on_root_or_throw(Communicator& comm, const std::function<std::string()>& work) {
  std::string result;
  agree_or_throw(comm, [&] {
    if (comm.rank() == 0) result = work();
  });
  return comm.broadcast(result, 0);
}

}  // namespace galette
