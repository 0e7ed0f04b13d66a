// SPDX-License-Identifier: Apache-2.0
// Every configuration trains with adaptive augmentation, keeps its numbers in bounds, and goes on
// after a stop as if nothing had happened: augmentation, averages and blur included.
#include <cmath>
#include <csignal>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/exit_code.h"
#include "tests/restart/tiny_run.h"

namespace galette::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class Configuration : public ::testing::TestWithParam<const char*> {};

TEST_P(Configuration, GoesOnAsIfNothingHadHappened) {
  const std::string cfg = GetParam();
  // 16 iterations of 64 images, most of them after p has left zero.
  const std::string options = "--cfg=" + cfg + " --batch=64 --kimg=1 --aug=ada --target=0 ";
  const TinyRun whole(cfg, 2, options), stopped(cfg + "-stopped", 2, options);
  ASSERT_EQ(whole.train().code, kExitDone);
  const Outcome o = stopped.train_while(
      [&] {
        ASSERT_TRUE(wait_until([&] { return stopped.has_checkpoint(); }));
        EXPECT_TRUE(stopped.send(SIGUSR1, {1}));
      },
      "--checkpoint-every=0");
  ASSERT_EQ(o.code, kExitSavedGoOn) << o.err;
  ASSERT_EQ(stopped.train().code, kExitDone);
  expect_equal_runs(stopped, whole);

  for (const nlohmann::json& row : whole.rows()) {
    for (const char* name : {"Loss/G/loss", "Loss/D/loss", "Loss/scores/real"}) {
      EXPECT_LT(std::abs(row.at(name).at("mean").get<double>()), 100) << name;
    }
    EXPECT_EQ(row.at("Health/nonfinite_gradients").at("mean"), 0);
  }
  EXPECT_GT(whole.rows().back().at("Progress/augment").at("mean"), 0);
}

INSTANTIATE_TEST_SUITE_P(All, Configuration,
                         ::testing::Values("creps", "stylegan2", "stylegan3-t", "stylegan3-r"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

TEST(Health, ARunWhoseGradientsStayBrokenEndsWithoutSavingThem) {
  const TinyRun run("hopeless", 2,
                    "--cfg=stylegan2 --batch=48 --kimg=1 --glr=1e30 --dlr=1e30 --stop-on-nan=3 "
                    "--checkpoint-every=0");
  const Outcome o = run.train();
  EXPECT_EQ(o.code, kExitDoNotRestart) << o.err;
  EXPECT_THAT(o.err, HasSubstr("gradients were not finite in 3 iterations in a row"));
  EXPECT_THAT(o.err, ContainsRegex("iteration [0-9]+, rank 0, [GD](main|reg), [a-z0-9.]+: [0-9]+ "
                                   "gradient values are not finite"));
  // The first iteration's gradients were fine; what followed was not worth saving.
  for (const char* name :
       {"checkpoint-000000002.h5", "checkpoint-000000003.h5", "checkpoint-000000004.h5"}) {
    EXPECT_FALSE(std::filesystem::exists(run.file(name))) << name;
  }
}

}  // namespace
}  // namespace galette::testing
