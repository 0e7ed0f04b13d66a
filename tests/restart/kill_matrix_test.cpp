// SPDX-License-Identifier: Apache-2.0
// Runs that are killed at every point of saving and at random moments end with the same bits as
// undisturbed ones. More schedules, for a long test:
//
//   GALETTE_SOAK_SCHEDULES=100 GALETTE_SOAK_SEED=7 galette_restart_tests
//   --gtest_filter=KillMatrix.*
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "base/exit_code.h"
#include "tests/restart/tiny_run.h"

namespace galette::testing {
namespace {

constexpr int kSchedules = 12;
constexpr int kSeed = 1;
constexpr int kRankCounts = 4;
/// 11 iterations, saved as often as a save ends.
constexpr const char* kOptions = "--batch=96 --kimg=1 --checkpoint-every=0";

int setting(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

/// One start that is killed: at a point of saving, or after some time.
struct Kill {
  std::string point;       ///< of GALETTE_FAULT, or empty
  double after = 0;        ///< seconds
  std::vector<int> ranks;  ///< that are killed then

  std::string text() const {
    return point.empty() ? fmt::format("ranks {} after {:.2f} s", fmt::join(ranks, ","), after)
                         : point;
  }
};

/// Schedules with consecutive numbers take all rank counts and points in turn; the rest is random.
class ScheduleMaker {
 public:
  ScheduleMaker(int number, double seconds_of_run)
      : random_(static_cast<unsigned>(setting("GALETTE_SOAK_SEED", kSeed) * 100003 + number)),
        number_(number),
        seconds_(seconds_of_run) {}

  int ranks() const { return 1 + number_ % kRankCounts; }
  /// In a long test up to three starts are killed.
  std::vector<Kill> kills() {
    const bool is_long = std::getenv("GALETTE_SOAK_SCHEDULES") != nullptr;
    std::vector<Kill> result{number_ % 2 == 0 ? at_point(number_ / 2) : at_moment()};
    const int more = is_long ? below(3) : 0;
    for (int i = 0; i < more; ++i)
      result.push_back(below(2) == 0 ? at_point(below(7)) : at_moment());
    return result;
  }

 private:
  int below(int end) { return std::uniform_int_distribution<int>(0, end - 1)(random_); }
  Kill at_point(int point) {
    constexpr const char* kPoints[] = {"create", "write",  "flush",  "close",
                                       "fsync",  "rename", "pointer"};
    constexpr int kFirstOfAll = 1, kLastOfAll = 3;  // points that every rank passes
    const int at = point % 7;
    const int rank = at >= kFirstOfAll && at <= kLastOfAll ? below(ranks()) : 0;
    return {fmt::format("checkpoint:{}:{}:{}", kPoints[at], rank, 1 + below(3)), 0, {}};
  }
  Kill at_moment() {
    std::vector<int> victims;
    const int one = below(ranks() + 1);  // the last choice is all of them
    for (int rank = 0; rank < ranks(); ++rank) {
      if (one == rank || one == ranks()) victims.push_back(rank);
    }
    return {"", std::uniform_real_distribution<double>(0, seconds_)(random_), victims};
  }

  std::mt19937 random_;
  int number_;
  double seconds_;
};

Outcome train_and_kill(const TinyRun& run, const Kill& kill) {
  if (!kill.point.empty()) return run.train("", "GALETTE_FAULT=" + kill.point);
  return run.train_while([&] {
    std::this_thread::sleep_for(std::chrono::duration<double>(kill.after));
    wait_until([&] { return run.send(SIGKILL, kill.ranks); }, 2);
  });
}

/// An undisturbed run on that many ranks, made once.
class WholeRuns {
 public:
  const TinyRun& on(int ranks) {
    auto& run = runs_[ranks];
    if (!run) {
      run = std::make_unique<TinyRun>(fmt::format("undisturbed{}", ranks), ranks, kOptions);
      const Outcome o = run->train();
      EXPECT_EQ(o.code, kExitDone) << o.err;
      seconds_ = std::max(seconds_, o.seconds);
    }
    return *run;
  }
  double seconds() const { return seconds_; }

 private:
  std::map<int, std::unique_ptr<TinyRun>> runs_;
  double seconds_ = 0;
};

TEST(KillMatrix, KilledRunsEndLikeUndisturbedOnes) {
  WholeRuns whole;
  const int schedules = setting("GALETTE_SOAK_SCHEDULES", kSchedules);
  int kills = 0;
  for (int number = 0; number < schedules && !HasFailure(); ++number) {
    const int ranks = ScheduleMaker(number, 0).ranks();
    const TinyRun& undisturbed = whole.on(ranks);
    const TinyRun run(fmt::format("killed{}", number), ranks, kOptions);
    std::string story = fmt::format("schedule {} on {} ranks:", number, ranks);
    const std::vector<Kill> planned = ScheduleMaker(number, whole.seconds()).kills();
    for (const Kill& kill : planned) {
      const Outcome o = train_and_kill(run, kill);
      story += fmt::format(" {} (exit code {});", kill.text(), o.code);
      kills += o.code != kExitDone ? 1 : 0;
      // A whole run passes every point; what is left of one may be too short.
      EXPECT_TRUE(&kill != planned.data() || kill.point.empty() || o.code != kExitDone)
          << story << o.err;
      if (o.code == kExitDone) break;
    }
    const Outcome last = run.train();
    ASSERT_EQ(last.code, kExitDone) << story << last.err;
    SCOPED_TRACE(story);
    expect_equal_runs(run, undisturbed);
    if (std::getenv("GALETTE_SOAK_SCHEDULES") != nullptr) std::cout << story << std::endl;
  }
  RecordProperty("schedules", schedules);
  RecordProperty("kills", kills);
  std::cout << fmt::format("{} schedules, {} starts killed\n", schedules, kills);
}

}  // namespace
}  // namespace galette::testing
