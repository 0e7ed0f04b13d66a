// SPDX-License-Identifier: Apache-2.0
// Every configuration trains with adaptive augmentation, keeps its numbers in bounds, and goes on
// after a stop as if nothing had happened: augmentation, averages and blur included.
#include <cmath>
#include <csignal>
#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/exit_code.h"
#include "tests/restart/tiny_run.h"

namespace galette::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

struct Configured {
  const char* cfg;
  const char* augmentation;
};

class Configuration : public ::testing::TestWithParam<Configured> {};

TEST_P(Configuration, GoesOnAsIfNothingHadHappened) {
  const std::string cfg = GetParam().cfg;
  // 16 iterations of 64 images; where p is adapted, most of them after it has left zero.
  const std::string options =
      fmt::format("--cfg={} --batch=64 --kimg=1 {}", cfg, GetParam().augmentation);
  const TinyRun whole(cfg, 2, options), stopped(cfg + "-stopped", 2, options);
  ASSERT_EQ(whole.train().code, kExitDone);
  const Outcome o = stopped.train_while(
      [&] {
        ASSERT_TRUE(wait_until([&] { return stopped.times_started() == 1; }));
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

constexpr const char* kAdaptive = "--aug=ada --target=0";
constexpr const char* kFixed = "--aug=fixed --p=0.5";

INSTANTIATE_TEST_SUITE_P(All, Configuration,
                         ::testing::Values(Configured{"creps", kAdaptive},
                                           Configured{"stylegan2", kFixed},
                                           Configured{"stylegan3-t", kAdaptive},
                                           Configured{"stylegan3-r", kFixed}),
                         [](const auto& info) {
                           std::string name = info.param.cfg;
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
