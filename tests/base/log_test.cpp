// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/progress.h"
#include "io/check.h"

namespace galette {
namespace {

class LogTest : public ::testing::Test {
 protected:
  LogTest() { std::filesystem::remove(path_); }
  ~LogTest() override {
    unsetenv("GALETTE_LOG_RANKS");
    log::close_file();
    log::set_rank(0);
    std::filesystem::remove(path_);
  }
  std::string contents() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  std::string path_ = std::filesystem::temp_directory_path() /
                      ("galette_log_test." + std::to_string(getpid()) + ".txt");
};

TEST_F(LogTest, LinesGoToStdoutWarningsToStderrAndBothToTheFile) {
  log::append_to(path_);
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  log::info("tick {}", 3);
  log::warning("{} is old", "x");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "tick 3\n");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "warning: x is old\n");
  EXPECT_EQ(contents(), "tick 3\nwarning: x is old\n");
}

TEST_F(LogTest, AppendsToAnExistingFile) {
  std::ofstream(path_) << "before\n";
  log::append_to(path_);
  ::testing::internal::CaptureStdout();
  log::info("after {{}}");
  ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(contents(), "before\nafter {}\n");
}

TEST_F(LogTest, OtherRanksAreSilentUnlessAsked) {
  log::set_rank(2);
  EXPECT_FALSE(log::speaks());
  ::testing::internal::CaptureStdout();
  log::info("hidden");
  log::append_to(path_);
  EXPECT_FALSE(std::filesystem::exists(path_));
  setenv("GALETTE_LOG_RANKS", "all", 1);
  log::set_rank(2);
  log::info("shown");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "[rank 2] shown\n");
}

TEST_F(LogTest, AFileThatCannotBeOpenedIsNamed) {
  try {
    log::append_to("/proc/no/such/log.txt");
    FAIL() << "opening must fail";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("/proc/no/such/log.txt"), std::string::npos);
  }
}

TEST(Progress, ShowsShareRateAndRemainingTime) {
  EXPECT_EQ(progress_text("train", 8, 25, "kimg", 353.1),
            "train [#######.................]  32%  8.0/25.0 kimg  353.10 s/kimg  ETA 1h 40m 03s");
  EXPECT_EQ(progress_text("pack", 0, 100, "images", 0),
            "pack [........................]   0%  0.0/100.0 images");
  EXPECT_EQ(progress_text("pack", 120, 100, "images", 0),
            "pack [########################] 100%  120.0/100.0 images");
}

TEST(Progress, SaysNothingWhereThereIsNoTerminal) {
  ::testing::internal::CaptureStderr();
  {
    ProgressBar bar("train", 10, "kimg");
    bar.update(5);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace galette
