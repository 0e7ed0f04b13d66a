// SPDX-License-Identifier: Apache-2.0
#include "io/together.h"

#include <gtest/gtest.h>

#include "io/check.h"

namespace galette::io {
namespace {

const MPI_Comm kWorld = MPI_COMM_WORLD;

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

TEST(TogetherRanks, PassesWhenNobodyFails) {
  int calls = 0;
  together(kWorld, [&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(TogetherRanks, OneFailureIsThrownOnAllRanks) {
  const int last = comm_size(kWorld) - 1;
  const std::string message = message_of<InputError>([&] {
    together(kWorld, [&] {
      if (comm_rank(kWorld) == last) throw InputError("x.h5: no such file");
    });
  });
  EXPECT_EQ(message, "x.h5: no such file");
}

TEST(TogetherRanks, TheLowestFailingRankDecidesKindAndMessage) {
  const auto work = [&] {
    if (comm_rank(kWorld) == 0) throw std::runtime_error("disk on fire");
    throw InputError("other");
  };
  bool is_input_error = false;
  try {
    together(kWorld, work);
  } catch (const InputError&) {
    is_input_error = true;
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "disk on fire");
  }
  EXPECT_FALSE(is_input_error);
}

TEST(TogetherRanks, DamagedFilesStayWhatTheyAre) {
  const auto work = [&] {
    if (comm_rank(kWorld) == 0) throw DamagedFile("x.h5: cut short");
  };
  EXPECT_EQ(message_of<DamagedFile>([&] { together(kWorld, work); }), "x.h5: cut short");
}

TEST(TogetherRanks, OnRootRunsOnceAndFailsOnAll) {
  int calls = 0;
  const std::string message = message_of<std::runtime_error>([&] {
    on_root(kWorld, [&] {
      ++calls;
      throw std::runtime_error("no space");
    });
  });
  EXPECT_EQ(message, "no space");
  EXPECT_EQ(calls, comm_rank(kWorld) == 0 ? 1 : 0);
}

TEST(TogetherRanks, BroadcastsTextOfAnyLength) {
  const int root = comm_size(kWorld) - 1;
  const bool is_root = comm_rank(kWorld) == root;
  EXPECT_EQ(broadcast_text(kWorld, is_root ? "runs/00007" : "x", root), "runs/00007");
  EXPECT_EQ(broadcast_text(kWorld, is_root ? "" : "longer", root), "");
}

}  // namespace
}  // namespace galette::io
