// SPDX-License-Identifier: Apache-2.0
// `galette job`: the script that it writes is one that bash reads, with what was asked for in it.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/job_script.h"
#include "tests/cli/program.h"
#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"
#include "training/train_options.h"

namespace galette::testing {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kTrain =
    " -- train --run-dir=runs/x --cfg=creps --data=x.h5 --batch=32 --gamma=1";
const std::string kJob = "job --nodes=2 --gpus-per-node=4 --time=24:00:00";

/// What bash prints for a script's array `options` and its run directory, one word a line. The
/// script is cut off before it does anything.
std::string words_of(const std::string& script) {
  const TempDir dir;
  const std::string path = dir.file("script");
  std::ofstream(path) << script.substr(0, script.find("say() {"))
                      << "printf '%s\n' \"$run_dir\" \"${options[@]}\" \"$program\" \"$site\"\n";
  EXPECT_EQ(std::system(fmt::format("bash {0} > {0}.out", path).c_str()), 0);
  std::ostringstream text;
  text << std::ifstream(path + ".out").rdbuf();
  return text.str();
}

JobPlan sample_plan() {
  JobPlan plan;
  plan.nodes = 2;
  plan.ranks_per_node = 4;
  plan.time = "1-00";
  plan.program = "/opt/a b/galette";
  plan.run_dir = "runs/it's one";
  plan.options = {"--data=$HOME/*.h5", "--gamma=1"};
  return plan;
}

TEST(JobScript, EveryWordComesBackFromTheShell) {
  JobPlan plan = sample_plan();
  EXPECT_EQ(words_of(job_script(plan)),
            "runs/it's one\n--data=$HOME/*.h5\n--gamma=1\n/opt/a b/galette\n\n");
  plan.site = "jobs/env/my site.sh";
  EXPECT_THAT(words_of(job_script(plan)), EndsWith("\njobs/env/my site.sh\n"));
}

TEST(JobScript, OnlyResourcesAndCommandDifferFromTheFile) {
  const std::string script = job_script(sample_plan());
  const size_t end = kTrainJob.find("say() {");
  ASSERT_NE(end, std::string_view::npos);
  EXPECT_THAT(script, EndsWith(std::string(kTrainJob.substr(end))));
  EXPECT_THAT(script, AllOf(StartsWith("#!/usr/bin/env bash\n"), HasSubstr("#SBATCH --requeue\n"),
                            HasSubstr("#SBATCH --signal=USR1@300\n"), HasSubstr("GALETTE_REQUEUE"),
                            Not(HasSubstr("--partition=\n"))));
}

TEST(JobScript, TimesThatSlurmWouldReadOtherwiseAreRefused) {
  for (const char* good : {"90", "24:00:00", "2-12", "2-12:30", "2-12:30:00"}) {
    EXPECT_EQ(error_of([&] { check_job_time(good); }), "no error") << good;
  }
  for (const char* bad : {"", "1:30", "0", "a day", "-5", "1:2:3:4", "1-24", "00:61:00"}) {
    EXPECT_THAT(error_of([&] { check_job_time(bad); }), HasSubstr("HH:MM:SS")) << bad;
  }
}

TEST(JobCommand, PrintsTheScript) {
  const Outcome o = run_program(1, kJob + " --partition=gpu --account=p7 --notice=120" + kTrain);
  EXPECT_EQ(o.code, 0) << o.err;
  for (const char* line :
       {"--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4", "--time=24:00:00",
        "--partition=gpu", "--account=p7", "--signal=USR1@120"}) {
    EXPECT_THAT(o.out, HasSubstr(fmt::format("\n#SBATCH {}\n", line)));
  }
  EXPECT_THAT(words_of(o.out),
              StartsWith("runs/x\n--cfg=creps\n--data=x.h5\n--batch=32\n--gamma=1\n/"));
}

TEST(JobCommand, WritesAFileOnce) {
  const TempDir dir;
  const std::string output = " --output=" + dir.file("job");
  ASSERT_EQ(run_program(1, "job --nodes=1 --ranks-per-node=8 --time=90" + output + kTrain).code, 0);
  std::ostringstream text;
  text << std::ifstream(dir.file("job")).rdbuf();
  EXPECT_THAT(text.str(), AllOf(HasSubstr("#SBATCH --ntasks-per-node=8\n"),
                                Not(HasSubstr("#SBATCH --gpus-per-node"))));
  const Outcome again = run_program(1, kJob + output + kTrain);
  EXPECT_EQ(again.code, 2);
  EXPECT_THAT(again.complaint(), HasSubstr("exists already"));
}

TEST(JobCommand, WrongResourcesAndCommandsAreRefused) {
  const struct {
    std::string arguments;
    const char* complaint;
  } cases[] = {
      {"job --nodes=0 --gpus-per-node=4 --time=60" + kTrain, "--nodes=0: must be"},
      {"job --nodes=2 --time=60" + kTrain, "--gpus-per-node"},
      {"job --nodes=3 --gpus-per-node=4 --time=60" + kTrain, "not divisible by the 12 ranks"},
      {kJob + " --partition='a b'" + kTrain, "one word"},
      {kJob + kTrain + " --glr=-1", "--glr=-1"},
      {kJob + " -- train --cfg=creps --data=x.h5 --batch=32 --gamma=1", "--run-dir"},
  };
  for (const auto& c : cases) {
    const Outcome o = run_program(1, c.arguments);
    EXPECT_EQ(o.code, 2) << c.arguments;
    EXPECT_EQ(o.complaints(), 1) << o.err;
    EXPECT_THAT(o.complaint(), HasSubstr(c.complaint));
  }
}

// The files that `--config` takes hold options that exist, with values in their ranges.
TEST(JobConfigurations, AreReadByTrain) {
  namespace fs = std::filesystem;
  int files = 0;
  for (const auto& entry : fs::directory_iterator(GALETTE_TEST_DATA "/../jobs/configs")) {
    const std::string path = entry.path();
    TrainOptions options;
    OptionTable table = train_option_table(options);
    CLI::App app;
    table.add_to(app, Sources::environment_and_file);
    app.parse(std::vector<std::string>{"--config=" + path, "--data=x.h5"});
    EXPECT_EQ(error_of([&] { table.finish("config"); }), "no error");
    EXPECT_THAT(entry.path().filename(), StartsWith(options.cfg + "-"));
    EXPECT_EQ(options.batch, 32) << path;
    ++files;
  }
  EXPECT_EQ(files, 16) << "four configurations at four resolutions";
}

}  // namespace
}  // namespace galette::testing
