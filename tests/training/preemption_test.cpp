// SPDX-License-Identifier: Apache-2.0
#include "training/preemption.h"

#include <gtest/gtest.h>

namespace galette {
namespace {

class PreemptionSignal : public ::testing::TestWithParam<int> {};

TEST_P(PreemptionSignal, ASignalSetsTheFlagAndNothingElse) {
  PreemptionSignals signals;
  EXPECT_FALSE(signals.requested());
  raise(GetParam());
  EXPECT_TRUE(signals.requested());
  EXPECT_EQ(signals.signal(), GetParam());
  // More of them change nothing; the first one is remembered.
  raise(SIGUSR2);
  raise(SIGTERM);
  EXPECT_EQ(signals.signal(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Signals, PreemptionSignal, ::testing::Values(SIGTERM, SIGUSR1, SIGUSR2));

volatile sig_atomic_t calls_of_earlier_handler = 0;

TEST(PreemptionTest, EarlierHandlersComeBack) {
  struct sigaction earlier {
  }, original{};
  earlier.sa_handler = [](int) { calls_of_earlier_handler = calls_of_earlier_handler + 1; };
  ASSERT_EQ(sigaction(SIGUSR1, &earlier, &original), 0);
  {
    PreemptionSignals signals;
    raise(SIGUSR1);
    EXPECT_EQ(calls_of_earlier_handler, 0);
  }
  raise(SIGUSR1);
  EXPECT_EQ(calls_of_earlier_handler, 1);
  sigaction(SIGUSR1, &original, nullptr);
}

TEST(PreemptionTest, AnInnerLifeKnowsWhatCameBefore) {
  PreemptionSignals outer;
  raise(SIGUSR1);
  {
    PreemptionSignals inner;
    EXPECT_EQ(inner.signal(), SIGUSR1);
  }
  EXPECT_EQ(outer.count(), 1);
}

TEST(PreemptionTest, EachInstallationStartsWithoutARequest) {
  {
    PreemptionSignals signals;
    raise(SIGTERM);
  }
  EXPECT_FALSE(PreemptionSignals().requested());
}

}  // namespace
}  // namespace galette
