// SPDX-License-Identifier: Apache-2.0
#include "training/run_log.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "base/log.h"
#include "tests/support/temp_dir.h"

namespace galette {
namespace {

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class RunLogTest : public ::testing::Test {
 protected:
  ~RunLogTest() override { log::close_file(); }
  testing::TempDir dir_;
  std::string path_ = dir_.file("log.txt");
};

TEST_F(RunLogTest, LinesAfterTheCheckpointMoveAway) {
  int64_t at_checkpoint = 0;
  {
    RunLog first(dir_.path());
    log::info("tick 1");
    at_checkpoint = first.size();
    log::info("tick 2");
    log::error("rank 3: killed");
  }
  RunLog second(dir_.path());
  log::info("options");
  second.go_back_to(at_checkpoint, MPI_COMM_SELF);
  log::info("tick 2");
  EXPECT_EQ(text_of(path_), "tick 1\noptions\ntick 2\n");
  EXPECT_EQ(text_of(dir_.file("log-lost.txt")), "tick 2\nrank 3: killed\n");
  EXPECT_EQ(second.size(), 22);
}

TEST_F(RunLogTest, NothingMovesWhenNothingWasLoggedSince) {
  {
    RunLog first(dir_.path());
    log::info("tick 1");
  }
  RunLog second(dir_.path());
  second.go_back_to(second.size(), MPI_COMM_SELF);
  log::info("tick 2");
  EXPECT_EQ(text_of(path_), "tick 1\ntick 2\n");
  EXPECT_FALSE(std::ifstream(dir_.file("log-lost.txt")));
}

TEST_F(RunLogTest, ARunWithoutACheckpointBeginsAnew) {
  {
    RunLog first(dir_.path());
    log::info("tick 0");
  }
  RunLog second(dir_.path());
  log::info("options");
  second.go_back_to(0, MPI_COMM_SELF);
  EXPECT_EQ(text_of(path_), "options\n");
}

}  // namespace
}  // namespace galette
