// SPDX-License-Identifier: Apache-2.0
#include "parallel/hang_finder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace galette {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kLimit = 100;

/// A rank that entered `steps` sections and is in `place` for `seconds`.
RankView rank_in(const std::string& place, int64_t steps, double seconds, double silent = 0.5) {
  return {silent, {steps, 12, seconds, 0, place}};
}

std::string hang(const std::vector<RankView>& ranks, double limit = kLimit) {
  return find_hang(ranks, limit).value_or("none");
}

TEST(HangFinder, RanksThatGetOnAreLeftAlone) {
  EXPECT_EQ(hang({rank_in("data", 50, 3), rank_in("Gmain", 52, 99)}), "none");
  EXPECT_EQ(hang({rank_in("data", 50, 3), rank_in("Gmain", 52, 0, 99)}), "none");
}

TEST(HangFinder, ASilentRankIsNamedWithItsLastPlace) {
  const auto why = hang({rank_in("Dmain, all-reduce", 60, 5), rank_in("Gmain", 52, 1, kLimit)});
  EXPECT_THAT(why, AllOf(HasSubstr("rank 1 "), HasSubstr("no sign of life for 100 s"),
                         HasSubstr("iteration 12, Gmain")));
}

// The others wait since the rank fell silent, and may reach the limit a moment before.
TEST(HangFinder, ASilentRankIsToBlameBeforeOnesThatWait) {
  const auto why = hang({rank_in("all-reduce", 53, kLimit), rank_in("all-reduce", 53, kLimit),
                         rank_in("Gmain", 52, 1, kLimit - 2)});
  EXPECT_THAT(why, AllOf(HasSubstr("rank 2 "), HasSubstr("no sign of life")));
}

TEST(HangFinder, AmongRanksThatSpeakTheOneBehindIsNamed) {
  const auto why = hang({rank_in("Gmain, all-reduce", 53, 101), rank_in("data", 50, 102),
                         rank_in("Gmain, all-reduce", 53, 101)});
  EXPECT_THAT(why, AllOf(HasSubstr("rank 1 has been in iteration 12, data for 102 s"),
                         HasSubstr("rank 2 waits in iteration 12, Gmain, all-reduce")));
}

TEST(HangFinder, WhenAllAreEquallyFarNobodyIsBlamedForWaiting) {
  const auto why = hang({rank_in("snapshot", 53, 101), rank_in("snapshot", 53, 101)});
  EXPECT_THAT(why, AllOf(HasSubstr("snapshot"), Not(HasSubstr("while"))));
}

TEST(HangFinder, SectionsMayHaveLimitsOfTheirOwn) {
  RankView slow = rank_in("snapshot", 53, 500);
  slow.report.limit = 1000;
  EXPECT_EQ(hang({slow}), "none");
  slow.report.seconds = 1001;
  EXPECT_NE(hang({slow}), "none");
  slow.report.limit = -1;  // any time
  EXPECT_EQ(hang({slow}), "none");
  slow.silent = kLimit;  // but its watchdog must speak
  EXPECT_THAT(hang({slow}), HasSubstr("no sign of life"));
}

TEST(HangFinder, ALimitOfZeroMeansNone) {
  EXPECT_EQ(hang({rank_in("data", 1, 1e6, 1e6)}, 0), "none");
}

}  // namespace
}  // namespace galette
