// SPDX-License-Identifier: Apache-2.0
#include "training/best_checkpoint.h"

#include <cmath>

#include <gtest/gtest.h>

namespace galette {
namespace {

/// Whether the save of an iteration with this value becomes the best.
bool save(BestCheckpoint& best, double value, bool succeeds = true) {
  best.offer(value);
  best.begin_save();
  return best.end_save(succeeds);
}

TEST(BestCheckpoint, OnlyBetterOnesReplaceIt) {
  BestCheckpoint best("eqr1k");
  EXPECT_EQ(best.file_name(), "best-eqr1k.h5");
  EXPECT_FALSE(save(best, NAN));
  EXPECT_TRUE(save(best, 20));
  EXPECT_FALSE(save(best, 20));
  EXPECT_FALSE(save(best, 19));
  EXPECT_TRUE(save(best, 21));
  BestCheckpoint lowest("fid1k");
  EXPECT_TRUE(save(lowest, 20));
  EXPECT_FALSE(save(lowest, 21));
  EXPECT_TRUE(save(lowest, 19));
}

TEST(BestCheckpoint, WhatCouldNotBeSavedIsNotTheBest) {
  BestCheckpoint best("eqr1k");
  EXPECT_TRUE(save(best, 20));
  EXPECT_FALSE(save(best, 30, false));
  EXPECT_TRUE(save(best, 25));
  best.offer(40);
  best.drop_offer();
  EXPECT_EQ(best.begin_save(), "");
  EXPECT_FALSE(best.end_save(true));
}

TEST(BestCheckpoint, ARestartKnowsIt) {
  BestCheckpoint best("eqr1k");
  best.offer(20);
  nlohmann::json state;
  best.save(state);  // of the checkpoint that becomes the best
  BestCheckpoint later("eqr1k"), other("eqt1k_int");
  later.load(state);
  other.load(state);
  EXPECT_FALSE(save(later, 19));
  EXPECT_TRUE(save(later, 21));
  EXPECT_TRUE(save(other, 19));
  state["best"]["value"] = nullptr;  // as infinity is stored
  BestCheckpoint perfect("eqr1k");
  perfect.load(state);
  EXPECT_FALSE(save(perfect, 100));
}

TEST(BestCheckpoint, NoneIsNever) {
  BestCheckpoint none("none");
  EXPECT_FALSE(save(none, 20));
  nlohmann::json state = nlohmann::json::object();
  none.save(state);
  EXPECT_TRUE(state.empty());
}

}  // namespace
}  // namespace galette
