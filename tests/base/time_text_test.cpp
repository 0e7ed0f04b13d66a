// SPDX-License-Identifier: Apache-2.0
#include "base/time_text.h"

#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "base/memory_use.h"

namespace galette {
namespace {

TEST(FormatDuration, ChoosesUnitsBySize) {
  EXPECT_EQ(format_duration(0), "0s");
  EXPECT_EQ(format_duration(12.4), "12s");
  EXPECT_EQ(format_duration(59.6), "1m 00s");
  EXPECT_EQ(format_duration(184), "3m 04s");
  EXPECT_EQ(format_duration(2 * 3600 + 3 * 60 + 4), "2h 03m 04s");
  EXPECT_EQ(format_duration(86400 + 2 * 3600 + 3 * 60 + 4), "1d 02h 03m");
}

TEST(FormatDuration, UnknownIsAQuestionMark) {
  EXPECT_EQ(format_duration(-1), "?");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::quiet_NaN()), "?");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::infinity()), "?");
}

TEST(MemoryUse, SeesALargeAllocation) {
  const int64_t before = resident_bytes();
  const std::vector<char> block(64 << 20, 1);
  EXPECT_GE(resident_bytes(), before + (60 << 20)) << static_cast<int>(block[0]);
  EXPECT_GE(peak_resident_bytes(), before + (60 << 20));
}

TEST(TimeText, DurationsAreRead) {
  const struct {
    const char* text;
    double seconds;
  } cases[] = {{"90", 5400},         {"0", 0},
               {"01:30", 5400},      {"100:00", 360000},
               {"00:00:07", 7},      {"24:00:00", 86400},
               {"1-02", 26 * 3600.}, {"2-03:04", 183840},
               {"1-00:00:01", 86401}};
  for (const auto& c : cases) EXPECT_EQ(parse_duration(c.text), c.seconds) << c.text;
}

TEST(TimeText, OtherTextsAreNoDurations) {
  for (const char* text : {"", "x", "-5", "1:", ":1", "1:60", "1:2:60", "1:2:3:4", "1-24:00", "1-",
                           "1.5", " 1", "1h", "99999999999999999999"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

}  // namespace
}  // namespace galette
