// SPDX-License-Identifier: Apache-2.0
#include "io/event_file.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "io/file_util.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

namespace fs = std::filesystem;

std::string bytes_of(const std::string& path) {
  const std::vector<uint8_t> bytes = read_file(path);
  return {bytes.begin(), bytes.end()};
}

class EventFileTest : public ::testing::Test {
 protected:
  std::string path() const { return dir_.file("events"); }
  /// A file with events of times 1, 2, ... count, at steps 10, 20, ...
  void write_events(int count) const {
    EventFile file(path(), 0.5, 0);
    for (int i = 1; i <= count; ++i) {
      file.append({static_cast<double>(i), 10 * i, {{"loss", 0.25 * i}}, {}});
    }
  }

  testing::TempDir dir_;
};

// The bytes of a whole file, worked out by hand from the formats; checksums from their definition.
TEST_F(EventFileTest, HasTheBytesOfTheFormat) {
  write_events(1);
  const std::string bytes = bytes_of(path());
  const std::string version = std::string("\x09\0\0\0\0\0\0\xe0\x3f\x1a\x0d", 11) + "brain.Event:2";
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x18\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(bytes.substr(12, 24), version);
  const std::string start("\x09\0\0\0\0\0\0\xe0\x3f\x10\0\x3a\x02\x08\x01", 15);
  EXPECT_EQ(bytes.substr(52, 15), start);
  const std::string event(
      "\x09\0\0\0\0\0\0\xf0\x3f\x10\x0a\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\x80\x3e", 26);
  EXPECT_EQ(bytes.substr(83, 26), event);
  EXPECT_EQ(bytes.size(), 113U);
}

TEST_F(EventFileTest, KeepsTheEventsOfTheGivenTimes) {
  write_events(2);
  const std::string two = bytes_of(path());
  fs::remove(path());
  write_events(3);
  keep_events(path(), {1, 2, 7});
  EXPECT_EQ(bytes_of(path()), two);
}

TEST_F(EventFileTest, LeavesAWholeFileAlone) {
  write_events(2);
  const auto before = fs::last_write_time(path());
  keep_events(path(), {1, 2});
  EXPECT_EQ(fs::last_write_time(path()), before);
}

TEST_F(EventFileTest, RemovesWhatFollowsDamage) {
  write_events(1);
  const std::string one = bytes_of(path());
  fs::remove(path());
  write_events(3);
  std::string bytes = bytes_of(path());
  bytes[one.size() + 20] ^= 1;
  std::ofstream(path(), std::ios::binary) << bytes;
  keep_events(path(), {1, 2, 3});
  EXPECT_EQ(bytes_of(path()), one);
}

TEST_F(EventFileTest, RemovesAFileWithoutEvents) {
  write_events(2);
  keep_events(path(), {5});
  EXPECT_FALSE(fs::exists(path()));
}

}  // namespace
}  // namespace galette::io
