// SPDX-License-Identifier: Apache-2.0
#include "training/stop_request.h"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace galette {
namespace {

using std::chrono::seconds;
using Clock = StopRequest::Clock;

class StopRequestTest : public ::testing::Test {
 protected:
  ~StopRequestTest() override { unsetenv("SLURM_JOB_END_TIME"); }
  StopRequest request(std::optional<double> limit, bool watches_clock = true) const {
    return {signals_, dir_.path(), limit, Clock::now() - seconds(50), watches_clock};
  }
  static void end_slurm_job_in(int64_t after) {
    const auto end = std::chrono::system_clock::to_time_t(Clock::now()) + after;
    setenv("SLURM_JOB_END_TIME", std::to_string(end).c_str(), 1);
  }

  testing::TempDir dir_;
  PreemptionSignals signals_;
};

TEST_F(StopRequestTest, WithoutAReasonARunGoesOn) {
  EXPECT_EQ(request(std::nullopt).vote(1e6).level, StopLevel::none);
}

TEST_F(StopRequestTest, ALimitLeavesTimeForWhatIsNeeded) {
  StopRequest limited = request(100);  // 50 of them are over
  EXPECT_EQ(limited.vote(10).level, StopLevel::none);
  const StopVote vote = limited.vote(60);
  EXPECT_EQ(vote.level, StopLevel::stop);
  EXPECT_EQ(stop_reason(vote.reason), "--time-limit");
}

TEST_F(StopRequestTest, TheEndOfASlurmJobIsALimit) {
  end_slurm_job_in(100);
  EXPECT_EQ(request(std::nullopt).vote(20).level, StopLevel::none);
  const StopVote vote = request(std::nullopt).vote(95);
  EXPECT_EQ(vote.level, StopLevel::stop);
  EXPECT_EQ(stop_reason(vote.reason), "the end of the Slurm job");
  EXPECT_EQ(request(1000).vote(95).level, StopLevel::none);  // an option goes before it
  setenv("SLURM_JOB_END_TIME", "Unknown", 1);
  EXPECT_EQ(request(std::nullopt).vote(95).level, StopLevel::none);
}

TEST_F(StopRequestTest, OnlyOneRankLooksAtClockAndFile) {
  std::ofstream(dir_.file(kStopFile));
  EXPECT_EQ(request(1, false).vote(0).level, StopLevel::none);
}

TEST_F(StopRequestTest, AFileNamedStopIsSeenWithinASecond) {
  StopRequest watching = request(std::nullopt);
  EXPECT_EQ(watching.vote(0).level, StopLevel::none);
  std::ofstream(dir_.file(kStopFile));
  std::this_thread::sleep_for(seconds(1));
  const StopVote vote = watching.vote(0);
  EXPECT_EQ(vote.level, StopLevel::stop);
  EXPECT_EQ(stop_reason(vote.reason), "the file STOP");
}

TEST_F(StopRequestTest, ASecondSignalAsksForHaste) {
  StopRequest any = request(std::nullopt, false);
  raise(SIGUSR2);
  raise(SIGTERM);  // at once: launcher and scheduler mean the same
  EXPECT_EQ(any.vote(0).level, StopLevel::stop);
  EXPECT_EQ(stop_reason(any.vote(0).reason), "signal SIGUSR2");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  raise(SIGTERM);
  EXPECT_EQ(any.vote(0).level, StopLevel::in_haste);
  EXPECT_EQ(stop_reason(any.vote(0).reason), "signal SIGUSR2");
}

}  // namespace
}  // namespace galette
