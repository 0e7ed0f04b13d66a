// SPDX-License-Identifier: Apache-2.0
// A run that is stopped goes on as if nothing had happened, and does the same on any number of
// ranks and in micro-batches of any size.
#include <cmath>
#include <csignal>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/exit_code.h"
#include "tests/restart/tiny_run.h"

namespace galette::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// 21 iterations.
constexpr const char* kOptions = "--cfg=creps --batch=48 --kimg=1";
constexpr const char* kSaveOften = "--checkpoint-every=0";

/// Starts a run or goes on with it and, once it trains, signals one of its ranks.
void train_and_stop(const TinyRun& run, int signal, int rank) {
  const int before = run.times_started();
  const Outcome o = run.train_while(
      [&] {
        ASSERT_TRUE(wait_until([&] { return run.times_started() > before; }));
        EXPECT_TRUE(run.send(signal, {rank}));
      },
      kSaveOften);
  ASSERT_EQ(o.code, kExitSavedGoOn) << o.err;
  EXPECT_THAT(o.out, HasSubstr(signal == SIGUSR1 ? "signal SIGUSR1" : "signal SIGUSR2"));
}

/// Largest relative difference of the generator's and discriminator's losses.
double loss_difference(const TinyRun& run, const TinyRun& other) {
  const json a = run.rows().back(), b = other.rows().back();
  double largest = 0;
  for (const char* name : {"Loss/G/loss", "Loss/D/loss"}) {
    EXPECT_EQ(a[name]["num"], 20 * 48);
    EXPECT_EQ(b[name]["num"], 20 * 48);
    const double x = a[name]["mean"], y = b[name]["mean"];
    largest = std::max(largest, std::abs(x - y) / std::abs(x));
  }
  return largest;
}

/// How often log.txt tells that a tick ended.
int ticks_logged(const TinyRun& run) {
  std::string text = "\n";
  text += run.text_of("log.txt");
  int count = 0;
  for (size_t at = text.find("\ntick "); at != text.npos; at = text.find("\ntick ", at + 1))
    ++count;
  return count;
}

TEST(Restart, StoppedRunsEndLikeAnUndisturbedOne) {
  for (const int ranks : {1, 2}) {
    const TinyRun whole(fmt::format("whole{}", ranks), ranks, kOptions);
    ASSERT_EQ(whole.train().code, kExitDone);
    const TinyRun stopped(fmt::format("stopped{}", ranks), ranks, kOptions);
    train_and_stop(stopped, SIGUSR1, ranks - 1);
    ASSERT_EQ(stopped.train().code, kExitDone);
    expect_equal_runs(stopped, whole);
    EXPECT_EQ(ticks_logged(stopped), 2);
    // The same command once more finds the run finished and leaves it so.
    ASSERT_EQ(stopped.train().code, kExitDone);
    expect_equal_runs(stopped, whole);
    EXPECT_EQ(ticks_logged(stopped), 2);
  }
}

TEST(Restart, HowCheckpointsAreWrittenDoesNotMatter) {
  const TinyRun apart("in-background", 2, kOptions), together("synchronous", 2, kOptions);
  ASSERT_EQ(apart.train(kSaveOften).code, kExitDone);
  ASSERT_EQ(together.train("--checkpoint-every=0 --checkpoint-sync --io=rank0").code, kExitDone);
  expect_equal_runs(apart, together);
}

TEST(Restart, RunsMayShareTheirOptimisersFromAnyStartOn) {
  const std::string shared = fmt::format("{} --shard-optimizer", kOptions);
  const TinyRun whole("not-shared", 2, kOptions);
  ASSERT_EQ(whole.train().code, kExitDone);
  train_and_stop(TinyRun("shared-first", 2, shared), SIGUSR1, 0);
  const TinyRun at_first("shared-first", 2, kOptions);
  ASSERT_EQ(at_first.train().code, kExitDone);
  expect_equal_runs(at_first, whole);
  train_and_stop(TinyRun("shared-later", 2, kOptions), SIGUSR1, 0);
  const TinyRun later("shared-later", 2, shared);
  ASSERT_EQ(later.train("--io=rank0").code, kExitDone);
  expect_equal_runs(later, whole);
}

TEST(Restart, RanksAndMicroBatchesDoNotMatter) {
  const std::string option = fmt::format("{} --glr=0.0005 --dlr=0.0005", kOptions);
  const TinyRun one("on-1", 1, option), two("on-2", 2, option), four("on-4", 4, option);
  ASSERT_EQ(one.train().code, kExitDone);
  ASSERT_EQ(two.train("--batch-gpu=8").code, kExitDone);
  ASSERT_EQ(four.train().code, kExitDone);
  // Sums are rounded in another order, and training amplifies that from step to step, since Adam
  // divides a gradient by its own size, however small; the more the larger the steps.
  EXPECT_LT(loss_difference(one, two), 1e-4);
  EXPECT_LT(loss_difference(one, four), 1e-4);
}

TEST(Restart, GoesOnWithOtherNumbersOfRanks) {
  // 63 iterations, so that three stops find the run at work.
  const std::string option = "--cfg=stylegan2 --batch=48 --kimg=3 --precision=fp64";
  train_and_stop(TinyRun("moved", 1, option), SIGUSR2, 0);
  const TinyRun on_four("moved", 4, option), on_two("moved", 2, option);
  train_and_stop(TinyRun("moved", 2, option), SIGUSR1, 1);
  ASSERT_EQ(on_four.train("--time-limit=00:00:01").code, kExitSavedGoOn);  // within start-up
  ASSERT_EQ(on_two.train().code, kExitDone);
  const TinyRun unmoved("unmoved", 1, option);
  ASSERT_EQ(unmoved.train().code, kExitDone);
  EXPECT_LT(loss_difference(unmoved, on_two), 1e-9);
}

}  // namespace
}  // namespace galette::testing
