// SPDX-License-Identifier: Apache-2.0
// What a run computes on, and how many operations a step is made of.
#include <string>

#include <ATen/Context.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

namespace galette::testing {
namespace {

using ::testing::HasSubstr;

TEST(Device, AGpuThatIsNotThereIsRefusedByEveryRankAtOnce) {
  if (at::getNumGPUs() > 0) GTEST_SKIP() << "a machine without GPUs is not tested: one is visible";
  const Outcome o = run_program(
      2, "train --cfg=creps --data=none.h5 --batch=8 --gamma=1 --outdir=none --device=cuda");
  EXPECT_EQ(o.code, 2);
  EXPECT_THAT(o.err, ::testing::AnyOf(HasSubstr("has 0 visible GPUs for 2 ranks"),
                                      HasSubstr("built without CUDA")));
  EXPECT_THAT(o.err, HasSubstr("--device=cpu"));
}

TEST(BenchStep, CountsTheOperationsOfAPhase) {
  const Outcome o = run_program(1,
                                "bench step --cfg=stylegan2 --resolution=8 --cbase=32 --cmax=8 "
                                "--batch=4 --repeat=1 --count-ops --json");
  ASSERT_EQ(o.code, 0) << o.err;
  const nlohmann::json report = nlohmann::json::parse(o.out);
  double expected = 0;
  for (const auto& [name, phase] : report.at("phases").items()) {
    int64_t sum = 0;
    for (const auto& [op, calls] : phase.at("operations").items()) sum += calls.get<int64_t>();
    EXPECT_GT(sum, 0) << name;
    EXPECT_FALSE(phase.at("operations").contains("aten::view")) << name;
    expected += static_cast<double>(sum) / phase.at("interval").get<double>();
  }
  EXPECT_NEAR(report.at("operations_per_iteration"), expected, 1e-9 * expected);
  // The average of two flat arrays is one operation.
  EXPECT_EQ(report.at("phases").at("EMA").at("operations").at("galette::ema_update"), 1);
  EXPECT_EQ(report.at("phases").at("Dmain").at("operations").at("galette::adam_step"), 1);
}

}  // namespace
}  // namespace galette::testing
