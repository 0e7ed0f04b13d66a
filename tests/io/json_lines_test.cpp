// SPDX-License-Identifier: Apache-2.0
#include "io/json_lines.h"

#include <csignal>
#include <limits>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "io/check.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(JsonLines, AppendsOneObjectPerLineAndKeepsTheOrderOfKeys) {
  const galette::testing::TempDir dir;
  const std::string path = dir.file("a.jsonl");
  JsonLines(path).append({{"z", 1}, {"a", 0.5}});
  JsonLines(path).append({{"z", std::numeric_limits<double>::quiet_NaN()},
                          {"a", std::numeric_limits<double>::infinity()}});
  EXPECT_EQ(contents(path), "{\"z\":1,\"a\":0.5}\n{\"z\":null,\"a\":null}\n");
}

TEST(JsonLines, NamesAFileThatCannotBeOpened) {
  EXPECT_THROW(JsonLines("/proc/no/such.jsonl"), InputError);
}

TEST(JsonLines, ALineThatDoesNotFitIsWrittenLater) {
  const galette::testing::TempDir dir;
  const std::string path = dir.file("a.jsonl");
  JsonLines file(path);
  file.append({{"a", 1}});
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{12, before.rlim_max};  // the second line does not fit as a whole
  setrlimit(RLIMIT_FSIZE, &tight);
  EXPECT_THROW(file.append({{"b", 2}}), std::runtime_error);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(contents(path), "{\"a\":1}\n");
  file.append({{"c", 3}});
  EXPECT_EQ(contents(path), "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
}

TEST(TruncateAfter, DropsRowsPastTheGivenValue) {
  const galette::testing::TempDir dir;
  const std::string path = dir.file("stats.jsonl");
  JsonLines file(path);
  for (int tick = 0; tick < 5; ++tick) file.append({{"Progress/tick", {{"mean", tick}}}});
  EXPECT_EQ(truncate_after(path, "/Progress~1tick/mean", 2), 2);
  EXPECT_EQ(contents(path),
            "{\"Progress/tick\":{\"mean\":0}}\n{\"Progress/tick\":{\"mean\":1}}\n"
            "{\"Progress/tick\":{\"mean\":2}}\n");
  EXPECT_EQ(truncate_after(path, "/Progress~1tick/mean", 2), 0);
}

TEST(TruncateAfter, DropsALineThatACrashCutShort) {
  const galette::testing::TempDir dir;
  const std::string path = dir.file("stats.jsonl");
  std::ofstream(path) << "{\"tick\":1}\n{\"tick\":2}";
  EXPECT_EQ(truncate_after(path, "/tick", 9), 1);
  EXPECT_EQ(contents(path), "{\"tick\":1}\n");
  std::ofstream(path, std::ios::app) << "{\"ti\n{\"tick\":3}\n";
  EXPECT_EQ(truncate_after(path, "/tick", 9), 2);
  EXPECT_EQ(contents(path), "{\"tick\":1}\n");
}

TEST(TruncateAfter, LeavesAMissingFileMissing) {
  const galette::testing::TempDir dir;
  EXPECT_EQ(truncate_after(dir.file("none.jsonl"), "/tick", 1), 0);
  EXPECT_FALSE(std::ifstream(dir.file("none.jsonl")).good());
}

}  // namespace
}  // namespace galette::io
