// SPDX-License-Identifier: Apache-2.0
#include "parallel/agree.h"

#include <gtest/gtest.h>

#include "io/check.h"
#include "parallel/mpi_communicator.h"

namespace galette {
namespace {

/// The message of the exception of the given kind; empty when none came.
template <typename Error>
std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(AgreeRanks, PassesWhenNobodyFails) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  int calls = 0;
  agree_or_throw(comm, [&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(AgreeRanks, OneFailureIsThrownOnAllRanks) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  const int last = comm.size() - 1;
  const std::string message = message_of<InputError>([&] {
    agree_or_throw(comm, [&] {
      if (comm.rank() == last) throw InputError("x.h5: no such file");
    });
  });
  const std::string prefix = last == 0 ? "" : "rank " + std::to_string(last) + ": ";
  EXPECT_EQ(message, prefix + "x.h5: no such file");
}

TEST(AgreeRanks, TheLowestFailingRankDecidesKindAndMessage) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  const auto work = [&] {
    if (comm.rank() == 0) throw std::runtime_error("disk on fire");
    throw InputError("other");
  };
  bool is_input_error = true;
  try {
    agree_or_throw(comm, work);
  } catch (const InputError&) {
  } catch (const std::runtime_error& error) {
    is_input_error = false;
    EXPECT_STREQ(error.what(), "disk on fire");
  }
  EXPECT_FALSE(is_input_error);
}

TEST(AgreeRanks, RootsTextReachesAllRanks) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  int calls = 0;
  const std::string text = run_on_root_or_throw(comm, [&] {
    ++calls;
    return std::string("runs/00007");
  });
  EXPECT_EQ(text, "runs/00007");
  EXPECT_EQ(calls, comm.rank() == 0 ? 1 : 0);
}

}  // namespace
}  // namespace galette
