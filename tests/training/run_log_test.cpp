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

TEST_F(RunLogTest, TicksAfterTheCheckpointGoAndTheRestStays) {
  int64_t at_checkpoint = 0;
  {
    RunLog first(dir_.path());
    log::info("tick 1");
    at_checkpoint = first.size();
    log::info("tick 2");
    log::error("rank 3: killed");
  }
  std::ofstream(path_, std::ios::app) << "cut sh";  // in the middle of a line
  RunLog second(dir_.path());
  log::info("options");
  second.go_back_to(at_checkpoint, MPI_COMM_SELF);
  log::info("tick 2");
  const std::string expected = "tick 1\nrank 3: killed\ncut sh\noptions\ntick 2\n";
  EXPECT_EQ(text_of(path_), expected);
  EXPECT_EQ(second.size(), static_cast<int64_t>(expected.size()));
}

TEST_F(RunLogTest, TicksBeforeTheCheckpointStay) {
  {
    RunLog first(dir_.path());
    log::info("tick 1");
  }
  RunLog second(dir_.path());
  second.go_back_to(second.size(), MPI_COMM_SELF);
  log::info("tick 2");
  EXPECT_EQ(text_of(path_), "tick 1\ntick 2\n");
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
