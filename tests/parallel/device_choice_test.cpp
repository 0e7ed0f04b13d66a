// SPDX-License-Identifier: Apache-2.0
// Who computes where, for machines that are made up: no GPU is needed.
#include "parallel/device_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parallel/gpu.h"
#include "tests/support/input_error.h"

namespace galette {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;

using Ranks = std::vector<RankDevices>;
const std::vector<std::string> kNone, kTwo{"0000:3b:00.0", "0000:5e:00.0"};

std::vector<int> chosen(const Ranks& ranks, DeviceWish wish = DeviceWish::automatic) {
  return choose_devices(ranks, wish, true);
}

TEST(DeviceChoice, RanksOfAHostTakeItsGpusInOrder) {
  EXPECT_THAT(chosen({{"a", kTwo}, {"a", kTwo}, {"b", kTwo}, {"b", kTwo}}),
              ElementsAre(0, 1, 0, 1));
  // Ranks that the launcher deals out to the hosts in turn.
  EXPECT_THAT(chosen({{"a", kTwo}, {"b", kTwo}, {"a", kTwo}, {"b", kTwo}}),
              ElementsAre(0, 0, 1, 1));
}

TEST(DeviceChoice, RanksThatSeeOneGpuEachTakeThat) {
  EXPECT_THAT(chosen({{"a", {"x"}}, {"a", {"y"}}, {"a", {"z"}}}), ElementsAre(0, 0, 0));
}

TEST(DeviceChoice, TheSamePciIdOnAnotherHostIsAnotherGpu) {
  EXPECT_THAT(chosen({{"a", {"x"}}, {"b", {"x"}}}), ElementsAre(0, 0));
}

TEST(DeviceChoice, AnEarlierRankMakesWayForOneThatSeesLess) {
  EXPECT_THAT(chosen({{"a", {"x", "y"}}, {"a", {"x"}}}), ElementsAre(1, 0));
  EXPECT_THAT(chosen({{"a", {"x", "y"}}, {"a", {"y", "z"}}, {"a", {"x"}}, {"a", {"w", "z"}}}),
              ElementsAre(1, 1, 0, 0));
}

TEST(DeviceChoice, CpusWhereThereIsNoGpuOrNoneIsWanted) {
  EXPECT_THAT(chosen({{"a", kNone}, {"a", kNone}}), ElementsAre(-1, -1));
  EXPECT_THAT(chosen({{"a", kTwo}, {"a", kTwo}, {"a", kTwo}}, DeviceWish::cpu),
              ElementsAre(-1, -1, -1));
  EXPECT_THAT(choose_devices({{"a", kNone}}, DeviceWish::automatic, false), ElementsAre(-1));
}

TEST(DeviceChoice, FewerGpusThanRanksNamesTheHost) {
  const Ranks ranks{{"good", kTwo}, {"bad", kTwo}, {"bad", kTwo}, {"bad", kTwo}};
  for (const DeviceWish wish : {DeviceWish::automatic, DeviceWish::cuda}) {
    EXPECT_THAT(
        error_of([&] { chosen(ranks, wish); }),
        AllOf(HasSubstr("host bad has 2 visible GPUs for 3 ranks"), HasSubstr("--device=cpu")));
  }
  // A host without any beside one that has them would be the slowest by far.
  EXPECT_THAT(error_of([&] {
                chosen({{"good", kTwo}, {"blind", kNone}});
              }),
              HasSubstr("host blind has 0 visible GPUs for 1 rank"));
}

TEST(DeviceChoice, TwoRanksOnOneGpuAreRefused) {
  EXPECT_THAT(error_of([] {
                chosen({{"a", {"x"}}, {"a", {"x"}}});
              }),
              HasSubstr("host a has 1 visible GPU for 2 ranks"));
  EXPECT_THAT(error_of([] {
                chosen({{"a", {"x"}}, {"a", {"x"}}, {"a", {"x", "y", "z"}}});
              }),
              HasSubstr("host a: two ranks would share a GPU"));
}

TEST(DeviceChoice, AWishThatCannotBeMet) {
  EXPECT_THAT(error_of([] {
                chosen({{"a", kNone}}, DeviceWish::cuda);
              }),
              HasSubstr("host a has 0 visible GPUs for 1 rank"));
  EXPECT_THAT(error_of([] {
                choose_devices({{"a", kNone}}, DeviceWish::cuda, false);
              }),
              HasSubstr("built without CUDA"));
}

TEST(DeviceChoiceRanks, AllRanksDecideTheSameKind) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  EXPECT_EQ(choose_device(DeviceWish::cpu, comm).gpu, -1);
  EXPECT_EQ(choose_device(DeviceWish::cpu, comm).text, "CPU");
  const bool blind = comm.all(visible_gpus().empty());
  if (!blind) GTEST_SKIP() << "what happens without a GPU is not tested: one is visible";
  EXPECT_EQ(choose_device(device_wish("auto"), comm).gpu, -1);
  EXPECT_THAT(choose_device(device_wish("auto"), comm).text, HasSubstr("CPU ("));
  EXPECT_NE(error_of([&] { choose_device(device_wish("cuda"), comm); }), "no error");
}

}  // namespace
}  // namespace galette
