// SPDX-License-Identifier: Apache-2.0
// Runs in which one rank stops moving, or a file system does.
#include <chrono>
#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/exit_code.h"
#include "io/checkpoint.h"
#include "tests/restart/tiny_run.h"

namespace galette::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr const char* kLong = "--batch=48 --kimg=100000 --checkpoint-every=0";
constexpr double kLimit = 6;  // seconds
/// Between the limit and the end: a message under way, mpirun killing the ranks, a busy machine.
constexpr double kSlack = 8;

void expect_named(int victim) {
  const TinyRun run("stopped-rank" + std::to_string(victim), 3, kLong);
  std::chrono::steady_clock::time_point stopped;
  const Outcome o = run.train_while(
      [&] {
        // With the second one, all ranks know of the first.
        ASSERT_TRUE(wait_until([&] { return io::list_checkpoints(run.path()).size() > 1; }));
        EXPECT_TRUE(run.send(SIGSTOP, {victim}));
        stopped = std::chrono::steady_clock::now();
      },
      "--watchdog=6");
  const std::chrono::duration<double> until_end = std::chrono::steady_clock::now() - stopped;
  EXPECT_EQ(o.code, kExitSavedGoOn) << o.err;
  EXPECT_LT(until_end.count(), kLimit + kSlack);
  EXPECT_EQ(o.complaints(), 1) << o.err;
  EXPECT_THAT(o.complaint(),
              HasSubstr("rank " + std::to_string(victim) + " has given no sign of life"));
  EXPECT_THAT(o.complaint(), HasSubstr("last seen in iteration "));
}

TEST(Hang, AStoppedRankIsNamed) {
  expect_named(2);
}

TEST(Hang, AStoppedRankZeroIsNamedByTheOthers) {
  expect_named(0);
}

// The thread that writes hangs in rank 1, those of the others wait for it, training goes on.
TEST(Hang, AWriteThatDoesNotEndEndsTheRun) {
  const TinyRun run("stuck-write", 2, kLong);
  const Outcome o = run.train("--io-deadline=3", "GALETTE_FAULT=hang:write:1:2");
  EXPECT_EQ(o.code, kExitSavedGoOn) << o.err;
  EXPECT_THAT(o.complaint(), ContainsRegex("writing .*checkpoint.* is not finished after"));
  EXPECT_TRUE(run.has_checkpoint());
}

}  // namespace
}  // namespace galette::testing
