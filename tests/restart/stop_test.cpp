// SPDX-License-Identifier: Apache-2.0
// Runs that are asked to stop: by a file, a limit, signals at any time; and two trainers in one
// folder.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/exit_code.h"
#include "tests/restart/tiny_run.h"

namespace galette::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kLong = "--batch=48 --kimg=100000";

// A second trainer comes and goes meanwhile.
TEST(Stop, AFileStopsARunUntilItIsRemoved) {
  const TinyRun run("stop-file", 2, kLong);
  Outcome second;
  const Outcome first = run.train_while([&] {
    ASSERT_TRUE(wait_until([&] { return run.has_checkpoint(); }));
    second = run.train();
    std::ofstream(run.file("STOP"));
  });
  EXPECT_EQ(second.code, kExitUsage);
  EXPECT_EQ(second.complaints(), 1) << second.err;
  EXPECT_THAT(second.complaint(), HasSubstr("another trainer works in this folder"));
  EXPECT_EQ(first.code, kExitSavedGoOn) << first.err;
  EXPECT_THAT(first.out, HasSubstr("the file STOP"));
  EXPECT_FALSE(fs::exists(run.file("lock")));

  const Outcome still = run.train();
  EXPECT_EQ(still.code, kExitDoNotRestart) << still.err;
  EXPECT_THAT(still.err, HasSubstr("STOP"));

  fs::remove(run.file("STOP"));
  const Outcome limited = run.train("--time-limit=00:00:06");
  EXPECT_EQ(limited.code, kExitSavedGoOn) << limited.err;
  EXPECT_THAT(limited.out, HasSubstr("--time-limit"));
  EXPECT_THAT(limited.out, HasSubstr("Going on from"));
}

// The network is being made when the signal comes; another start goes on.
TEST(Stop, ASignalDuringStartUpIsNotLost) {
  const TinyRun run("start-up", 2, kLong);
  for (const int signal : {SIGUSR1, SIGTERM}) {
    const Outcome o = run.train_while([&] {
      ASSERT_TRUE(wait_until([&] { return fs::exists(run.file("lock")); }));
      EXPECT_TRUE(run.send(signal, {1}));
    });
    EXPECT_EQ(o.code, kExitSavedGoOn) << o.err;
    EXPECT_TRUE(run.has_checkpoint());
    EXPECT_THAT(o.out, HasSubstr(signal == SIGUSR1 ? "signal SIGUSR1" : "signal SIGTERM"));
  }
}

// An iteration lasts longer than the second after which another signal counts. What the tick would
// have written is written by the next start, so that nothing differs in the end.
TEST(Stop, ASecondSignalLeavesOnlyTheSave) {
  constexpr const char* kSlow = "--batch=3840 --batch-gpu=480 --kimg=4";  // two iterations
  const TinyRun whole("unhurried", 1, kSlow), run("hurried", 1, kSlow);
  ASSERT_EQ(whole.train().code, kExitDone);
  const Outcome hurried = run.train_while([&] {
    ASSERT_TRUE(wait_until([&] { return run.times_started() == 1; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));  // well within an iteration
    EXPECT_TRUE(run.send(SIGUSR1, {0}));
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    EXPECT_TRUE(run.send(SIGTERM, {0}));
  });
  EXPECT_EQ(hurried.code, kExitSavedGoOn) << hurried.err;
  EXPECT_TRUE(run.has_checkpoint());
  const size_t rows = run.rows().size();
  const bool snapshot = fs::exists(run.file("network-snapshot-000003.h5"));
  EXPECT_EQ(run.train().code, kExitDone);
  expect_equal_runs(run, whole);
  EXPECT_EQ(rows, 0u);
  EXPECT_FALSE(snapshot);
  EXPECT_TRUE(fs::exists(run.file("network-snapshot-000003.h5")));
}

// Each start dies at its first checkpoint.
TEST(Stop, RestartsWithoutProgressEnd) {
  const TinyRun run("no-progress", 1, "--batch=48 --kimg=1 --checkpoint-every=0");
  for (int start = 0; start < 4; ++start) {
    EXPECT_NE(run.train("", "GALETTE_FAULT=checkpoint:create").code, kExitDoNotRestart) << start;
  }
  const Outcome o = run.train();
  EXPECT_EQ(o.code, kExitDoNotRestart);
  EXPECT_THAT(o.err, HasSubstr("3 restarts in a row came no further than iteration 0"));
}

}  // namespace
}  // namespace galette::testing
