// SPDX-License-Identifier: Apache-2.0
// What every subcommand shares: help, version, complaints, exit codes, and how ranks end together.
#include "tests/cli/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace galette::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A rank that fails alone waits two seconds for the others; starting takes a few on a busy
/// machine.
constexpr double kSeveralSeconds = 20;

int count(const std::string& text, const std::string& what) {
  int n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST(Program, HelpIsPrintedOnceAndIsASuccess) {
  const Outcome o = run_program(2, "--help");
  EXPECT_EQ(o.code, 0);
  EXPECT_EQ(count(o.out, "Usage:"), 1);
  EXPECT_THAT(o.out, HasSubstr("train"));
  EXPECT_EQ(o.err, "");
}

TEST(Program, HelpOfTrainTellsDefaultsAndRanges) {
  const Outcome o = run_program(1, "train --help");
  EXPECT_EQ(o.code, 0);
  EXPECT_THAT(o.out, HasSubstr("(default: 25000)"));
  EXPECT_THAT(o.out, HasSubstr("stylegan3-t|stylegan3-r|stylegan2|creps"));
  EXPECT_THAT(o.out, HasSubstr("configuration (required)"));
}

TEST(Program, VersionNamesTheLibraries) {
  const Outcome o = run_program(2, "--version");
  EXPECT_EQ(o.code, 0);
  for (const char* name : {"galette ", "LibTorch ", "HDF5 ", "CUDA kernels: ", "NCCL: ",
                           "compiler: ", "build type: ", "instruction sets: "}) {
    EXPECT_EQ(count(o.out, name), 1) << o.out;
  }
}

TEST(Program, WrongUsageIsToldOnceByAllRanksTogether) {
  const struct {
    const char* arguments;
    const char* complaint;
  } cases[] = {
      {"", "a subcommand is required"},
      {"bake", "not expected: bake"},
      {"train --cfg=creps --data=x --batch=4 --gamma=1 --outdir=o --flour=2", "--flour=2"},
      {"train --cfg=creps --data=x --batch=4 --outdir=o", "--gamma is required"},
      {"train --cfg=biggan", "--cfg=biggan: 'biggan' is not one of"},
      {"train --metrics=foo", "--metrics=foo: 'foo' is not one of"},
      {"train --batch=0", "--batch=0: must be"},
  };
  for (const auto& c : cases) {
    const Outcome o = run_program(2, c.arguments);
    EXPECT_EQ(o.code, 2) << c.arguments;
    EXPECT_EQ(o.complaints(), 1) << o.err;
    EXPECT_THAT(o.complaint(), HasSubstr(c.complaint)) << c.arguments;
    EXPECT_LT(o.seconds, kSeveralSeconds);
  }
}

TEST(Program, ARankThatFailsAloneEndsAllOfThem) {
  // Rank 0 waits for the other one at the end of the program.
  const Outcome o = run_mpirun("-n 1 @ --help : -n 1 @ --flour");
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.complaint(), StartsWith("rank 1: "));
  EXPECT_LT(o.seconds, kSeveralSeconds);
}

TEST(Program, RanksThatFailForDifferentReasonsEachSayWhy) {
  const Outcome o = run_mpirun("-n 1 @ --sugar : -n 1 @ --flour");
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.complaint(), HasSubstr("rank 0: The following argument was not expected: --sugar"));
  EXPECT_THAT(o.complaint(), HasSubstr("rank 1: The following argument was not expected: --flour"));
}

}  // namespace
}  // namespace galette::testing
