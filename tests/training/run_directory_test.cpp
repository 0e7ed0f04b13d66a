// SPDX-License-Identifier: Apache-2.0
#include "training/run_directory.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/check.h"
#include "io/together.h"
#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"

namespace galette {
namespace {

using galette::testing::error_of;
namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

DatasetFacts emoji() {
  return {"emoji", 3926, 32, 3, 0, "0123456789abcdef"};
}

/// Resolved options with their table.
struct Options : TrainOptions {
  Options() {
    cfg = "creps";
    data = "emoji.h5";
    batch = 16;
    gamma = 0.2;
    resolve_options(*this, 1, emoji());
  }
  Options(const Options&) = delete;
  OptionTable table = train_option_table(*this);
};

RunDirectory prepare(const Options& options, const DatasetFacts& data = emoji()) {
  return RunDirectory::prepare(options, options.table, data, MPI_COMM_WORLD);
}

TEST(RunName, TellsTheMainOptions) {
  Options options;
  EXPECT_EQ(run_name(options, emoji()), "creps-emoji-gpus1-batch16-gamma0.2");
  options.gamma = 10;
  options.desc = "first try";
  EXPECT_EQ(run_name(options, emoji()), "creps-emoji-gpus1-batch16-gamma10-first try");
  options.gamma = 8.2e-5;
  options.desc = "";
  DatasetFacts odd = emoji();
  odd.name = "a/b";
  EXPECT_EQ(run_name(options, odd), "creps-a_b-gpus1-batch16-gamma8.2e-05");
}

TEST(NumberedDirectory, CountsOnFromTheLargestNumber) {
  const galette::testing::TempDir dir;
  const std::string out = dir.file("runs/deep");
  EXPECT_EQ(make_numbered_directory(out, "x"), out + "/00000-x");
  EXPECT_EQ(make_numbered_directory(out, "y"), out + "/00001-y");
  fs::create_directory(out + "/00041-z");
  fs::create_directory(out + "/notes");
  std::ofstream(out + "/77777-a-file") << "x";
  EXPECT_EQ(make_numbered_directory(out, "x"), out + "/00042-x");
}

TEST(NumberedDirectory, JobsAtTheSameTimeGetDifferentOnes) {
  const galette::testing::TempDir dir;
  std::vector<std::string> made(8);
  std::vector<std::thread> jobs;
  for (auto& path : made) {
    jobs.emplace_back([&] { path = make_numbered_directory(dir.path(), "x"); });
  }
  for (auto& job : jobs) job.join();
  std::sort(made.begin(), made.end());
  EXPECT_EQ(std::unique(made.begin(), made.end()), made.end());
}

TEST(RunDirectoryRanks, AllRanksGetTheSameNewFolder) {
  const galette::testing::TempDir dir(MPI_COMM_WORLD);
  Options options;
  options.outdir = dir.path();
  const RunDirectory run = prepare(options);
  EXPECT_EQ(run.path(), dir.path() + "/00000-creps-emoji-gpus1-batch16-gamma0.2");
  EXPECT_FALSE(run.holds_run());
  EXPECT_TRUE(fs::exists(run.file("training_options.json")));
}

TEST(RunDirectoryRanks, TheSameRunGoesOn) {
  const galette::testing::TempDir dir(MPI_COMM_WORLD);
  Options options;
  options.run_dir = dir.file("run");
  EXPECT_FALSE(prepare(options).holds_run());
  options.kimg = 5;
  options.batch_gpu = 4;
  const RunDirectory again = prepare(options);
  EXPECT_TRUE(again.holds_run());
  EXPECT_EQ(again.path(), options.run_dir);
  const auto record = nlohmann::json::parse(std::ifstream(again.file("training_options.json")));
  EXPECT_EQ(record["kimg"], 5);
  EXPECT_EQ(record["dataset"]["fingerprint"], emoji().fingerprint);
}

TEST(RunDirectoryRanks, AnotherRunIsRefusedOnAllRanksAndLeftAsItWas) {
  const galette::testing::TempDir dir(MPI_COMM_WORLD);
  Options options;
  options.run_dir = dir.path();
  const std::string record = prepare(options).file("training_options.json");
  options.batch = 32;
  options.seed = 7;
  options.kimg = 5;
  EXPECT_THAT(error_of([&] { prepare(options); }),
              AllOf(HasSubstr(dir.path()), HasSubstr("--batch (16 there, 32 here)"),
                    HasSubstr("--seed (0 there, 7 here)"), Not(HasSubstr("kimg"))));
  MPI_Barrier(MPI_COMM_WORLD);
  EXPECT_EQ(nlohmann::json::parse(std::ifstream(record))["batch"], 16);
}

TEST(RunDirectoryRanks, OtherImagesAreAnotherRun) {
  const galette::testing::TempDir dir(MPI_COMM_WORLD);
  Options options;
  options.run_dir = dir.path();
  prepare(options);
  DatasetFacts other = emoji();
  other.fingerprint = "fedcba9876543210";
  EXPECT_THAT(error_of([&] { prepare(options, other); }),
              HasSubstr("--data (other images: emoji 01234567 there, emoji fedcba98 here)"));
}

TEST(RunDirectoryRanks, NeverRefusesAFolderWithARun) {
  const galette::testing::TempDir dir(MPI_COMM_WORLD);
  Options options;
  options.run_dir = dir.path();
  options.restart = "never";
  EXPECT_FALSE(prepare(options).holds_run());
  EXPECT_THAT(error_of([&] { prepare(options); }), HasSubstr("--restart=never"));
}

TEST(RunDirectoryRanks, AFolderThatCannotBeWrittenIsNamed) {
  Options options;
  options.outdir = "/proc/galette";
  EXPECT_THAT(error_of([&] { prepare(options); }),
              AllOf(HasSubstr("--outdir=/proc/galette"), HasSubstr("may write to")));
  options.outdir = "";
  options.run_dir = "/dev/null/run";
  EXPECT_THAT(error_of([&] { prepare(options); }), HasSubstr("--run-dir=/dev/null/run"));
}

TEST(RunDirectoryRanks, ARecordThatIsNotOneIsNamed) {
  const galette::testing::TempDir dir(MPI_COMM_WORLD);
  Options options;
  options.run_dir = dir.path();
  if (io::comm_rank(MPI_COMM_WORLD) == 0)
    std::ofstream(dir.file("training_options.json")) << "{\"batch\": ";
  EXPECT_THAT(error_of([&] { prepare(options); }), HasSubstr(dir.file("training_options.json")));
}

}  // namespace
}  // namespace galette
