// SPDX-License-Identifier: Apache-2.0
// What a watchdog does on a hang ends the process: tests/restart shows it on the whole program.
#include "parallel/watchdog.h"

#include <thread>

#include <gtest/gtest.h>

namespace galette {
namespace {

using std::chrono::milliseconds;

TEST(HeartbeatTest, TellsWhereTheMainThreadIs) {
  Heartbeat& heartbeat = Heartbeat::instance();
  heartbeat.set_iteration(7);
  const int64_t before = heartbeat.report().steps;
  {
    const WatchedSection outer("Gmain", 50);
    const WatchedCall inner("all-reduce");
    const Heartbeat::Report report = heartbeat.report();
    EXPECT_EQ(report.place, "Gmain, all-reduce");
    EXPECT_EQ(report.iteration, 7);
    EXPECT_EQ(report.limit, 50);  // of the section around it
    EXPECT_EQ(report.steps, before + 2);
    EXPECT_LT(report.seconds, 5);
  }
  EXPECT_EQ(heartbeat.report().place, "");
  EXPECT_EQ(heartbeat.report().steps, before + 4);
}

TEST(HeartbeatTest, SectionsOfOtherThreadsAreNotThoseOfTheMainThread) {
  const WatchedSection outer("Gmain");
  std::thread([] {
    const WatchedSection other("data");
    const WatchedCall call("all-reduce");
    EXPECT_EQ(Heartbeat::instance().report().place, "Gmain");
  }).join();
  EXPECT_EQ(Heartbeat::instance().report().place, "Gmain");
}

// The main thread asks no clock: those who look see how long it takes no step.
TEST(HeartbeatTest, AStandstillCountsFromTheFirstReportThatShowsIt) {
  Heartbeat& heartbeat = Heartbeat::instance();
  const WatchedSection section("Gmain");
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_LT(heartbeat.report().seconds, 0.1);
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_GE(heartbeat.report().seconds, 0.2);
  { const WatchedCall call("all-reduce"); }
  EXPECT_LT(heartbeat.report().seconds, 0.1);
}

TEST(HeartbeatTest, AJobAgesUntilItEnds) {
  Heartbeat& heartbeat = Heartbeat::instance();
  EXPECT_FALSE(heartbeat.job());
  heartbeat.begin_job("writing", 9);
  std::this_thread::sleep_for(milliseconds(20));
  ASSERT_TRUE(heartbeat.job());
  EXPECT_EQ(heartbeat.job()->name, "writing");
  EXPECT_GE(heartbeat.job()->seconds, 0.02);
  EXPECT_EQ(heartbeat.job()->limit, 9);
  heartbeat.end_job();
  EXPECT_FALSE(heartbeat.job());
}

// With a limit of half a second, a rank that does something in time is not ended, although the
// whole lasts longer, and stopping leaves no message behind.
TEST(WatchdogRanks, LeavesRanksAloneThatGetOn) {
  for (int round = 0; round < 3; ++round) {
    Watchdog watchdog(MPI_COMM_WORLD, 0.5);
    for (int i = 0; i < 8; ++i) {
      const WatchedSection section("work");
      std::this_thread::sleep_for(milliseconds(100));
    }
    watchdog.stop();
  }
}

TEST(WatchdogRanks, WithoutALimitNothingIsTooLong) {
  Watchdog watchdog(MPI_COMM_WORLD, 0);
  const WatchedSection section("sleep");
  std::this_thread::sleep_for(milliseconds(1200));
  watchdog.stop();
}

}  // namespace
}  // namespace galette
