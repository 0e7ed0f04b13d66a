// SPDX-License-Identifier: Apache-2.0
// `galette doctor` on hosts that are well, and on what is not.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

using ::testing::HasSubstr;

TEST(Doctor, FindsNothingWhereAllIsWell) {
  const TempDir dir;
  const Outcome o = run_program(2, "doctor --json --dir=" + dir.path());
  ASSERT_EQ(o.code, 0) << o.err << o.out;
  const nlohmann::json report = nlohmann::json::parse(o.out);
  for (const char* name : {"program", "ranks", "GPUs", "all-reduce", "checkpoint"}) {
    EXPECT_NE(report.at(name).at("verdict"), "FAILED") << report.dump();
  }
  EXPECT_THAT(report.at("ranks").at("text").get<std::string>(), HasSubstr("2 in all"));
  EXPECT_THAT(report.at("all-reduce").at("text").get<std::string>(), HasSubstr("right; 64 MiB"));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(Doctor, TellsWhatFailsAndGoesOn) {
  const TempDir dir;
  std::ofstream(dir.file("broken.h5")) << "no dataset";
  std::ofstream(dir.file("file")) << "no folder";
  const Outcome o =
      run_program(2, "doctor --dir=" + dir.file("file") + " --data=" + dir.file("broken.h5"));
  EXPECT_EQ(o.code, 1);
  EXPECT_THAT(o.out, HasSubstr("FAILED   checkpoint  --dir=" + dir.file("file")));
  EXPECT_THAT(o.out, HasSubstr("FAILED   dataset     " + dir.file("broken.h5")));
  EXPECT_THAT(o.out, HasSubstr("ok       all-reduce"));
}

TEST(Doctor, SaysThatThereAreMoreThreadsThanCores) {
  const TempDir dir;
  const Outcome o = run_program(1, "doctor --dir=" + dir.path(), "OMP_NUM_THREADS=64");
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("WARNING  threads"));
}

}  // namespace
}  // namespace galette::testing
