// SPDX-License-Identifier: Apache-2.0
#include "training/restart_record.h"

#include <fstream>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace galette {
namespace {

bool start_at(const testing::TempDir& dir, int64_t iteration) {
  return RestartRecord(dir.path()).note_start(iteration);
}

TEST(RestartRecordTest, CountsStarts) {
  const testing::TempDir dir;
  EXPECT_EQ(RestartRecord(dir.path()).generation(), 0);
  for (int64_t i = 0; i < 3; ++i) EXPECT_TRUE(start_at(dir, 10 * i));
  EXPECT_EQ(RestartRecord(dir.path()).generation(), 3);
}

TEST(RestartRecordTest, ThreeRestartsWithoutProgressAreTheLast) {
  const testing::TempDir dir;
  EXPECT_TRUE(start_at(dir, 5));
  for (int i = 0; i < kRestartsWithoutProgress; ++i) EXPECT_TRUE(start_at(dir, 5));
  EXPECT_FALSE(start_at(dir, 5));
  EXPECT_TRUE(start_at(dir, 5)) << "a person may try again";
}

TEST(RestartRecordTest, ProgressStartsTheCountAnew) {
  const testing::TempDir dir;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i <= kRestartsWithoutProgress; ++i) EXPECT_TRUE(start_at(dir, round));
  }
}

TEST(RestartRecordTest, ADamagedRecordCountsAsNone) {
  const testing::TempDir dir;
  std::ofstream(dir.file("restarts.json")) << "{\"starts\": ";
  EXPECT_EQ(RestartRecord(dir.path()).generation(), 0);
  EXPECT_TRUE(start_at(dir, 0));
}

}  // namespace
}  // namespace galette
