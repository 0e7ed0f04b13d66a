// SPDX-License-Identifier: Apache-2.0
#include "training/ada.h"

#include <cmath>

#include <gtest/gtest.h>

#include "parallel/mpi_communicator.h"

namespace galette {
namespace {

constexpr int64_t kBatch = 16;

AdaConfig adaptive(double p = 0) {
  return {.mode = AugmentMode::ada, .p = p, .kimg = 0.64};
}
/// How far p moves in one adjustment: 16 * 4 images of 640.
constexpr double kStep = 0.1;

/// Logits of samples [first, first + n) of an iteration; about 3/4 of them are positive.
at::Tensor logits(int64_t iteration, int64_t first, int64_t n) {
  at::Tensor values = at::empty({n, 1});
  for (int64_t i = 0; i < n; ++i)
    values[i][0] = std::sin(static_cast<double>(37 * iteration + 11 * (first + i))) + 0.7;
  return values;
}

/// One interval in which every logit has this value.
void observe_constant(AdaController& ada, double value) {
  MpiCommunicator self(MPI_COMM_SELF);
  for (int64_t t = 1; t <= 4; ++t) {
    ada.observe(at::full({kBatch, 1}, value));
    ada.update(t, kBatch, self);
  }
}

TEST(Ada, RisesAndFalls) {
  AdaController ada(adaptive());
  observe_constant(ada, 2);
  EXPECT_NEAR(ada.p(), kStep, 1e-15);
  observe_constant(ada, 2);
  EXPECT_NEAR(ada.p(), 2 * kStep, 1e-15);
  observe_constant(ada, -0.01);
  EXPECT_NEAR(ada.p(), kStep, 1e-15);
}

TEST(Ada, IsNeverNegativeAndHasNoUpperBound) {
  AdaController ada(adaptive(0.95));
  for (int i = 0; i < 3; ++i) observe_constant(ada, 1);
  EXPECT_NEAR(ada.p(), 1.25, 1e-14);
  for (int i = 0; i < 20; ++i) observe_constant(ada, -1);
  EXPECT_EQ(ada.p(), 0);
}

TEST(Ada, ComparesTheMeanSignWithTheTarget) {
  MpiCommunicator self(MPI_COMM_SELF);
  // Of ten signs, one of them 0: 8 - 1 is above 0.6 of ten, 7 - 1 meets it, 6 - 1 is below.
  for (const auto& [positive, direction] : {std::pair{8, 1}, {7, 0}, {6, -1}}) {
    AdaController ada(adaptive(0.5));
    at::Tensor d = at::zeros({10});
    d.slice(0, 0, positive).fill_(3);
    d[9] = -5;
    ada.observe(d);
    ada.update(4, kBatch, self);
    EXPECT_NEAR(ada.p(), 0.5 + direction * kStep, 1e-15);
  }
}

TEST(Ada, MovesOnlyWhenItsIntervalIsOver) {
  MpiCommunicator self(MPI_COMM_SELF);
  AdaController ada(adaptive());
  for (int64_t t = 1; t <= 11; ++t) {
    ada.observe(at::ones({kBatch, 1}));
    ada.update(t, kBatch, self);
    EXPECT_NEAR(ada.p(), static_cast<double>(t / 4) * kStep, 1e-15);
  }
  // Observations of a past interval are forgotten.
  for (int64_t i = 0; i < 100; ++i) ada.observe(-at::ones({kBatch, 1}));
  ada.update(12, kBatch, self);
  observe_constant(ada, 1);
  EXPECT_NEAR(ada.p(), 2 * kStep, 1e-15);
}

TEST(Ada, ALostDiscriminatorLeavesItAsItIs) {
  MpiCommunicator self(MPI_COMM_SELF);
  AdaController ada(adaptive(0.3));
  ada.observe(at::tensor({1.0, std::nan("")}));
  ada.update(4, kBatch, self);
  EXPECT_EQ(ada.p(), 0.3);
  ada.update(8, kBatch, self);  // nothing was seen
  EXPECT_EQ(ada.p(), 0.3);
  observe_constant(ada, INFINITY);
  EXPECT_NEAR(ada.p(), 0.4, 1e-15);
}

TEST(Ada, OtherModesStay) {
  AdaController fixed({.mode = AugmentMode::fixed, .p = 0.25, .kimg = 0.64});
  AdaController none({.mode = AugmentMode::none, .p = 0.25});
  for (AdaController* ada : {&fixed, &none}) observe_constant(*ada, 1);
  EXPECT_EQ(fixed.p(), 0.25);
  EXPECT_TRUE(fixed.augments());
  EXPECT_EQ(none.p(), 0);
  EXPECT_FALSE(none.augments());
  EXPECT_TRUE(AdaController(adaptive()).augments());
}

/// Iterations (first, last] of a run whose batch is split among the ranks.
void train(AdaController& ada, int64_t first, int64_t last, Communicator& comm) {
  const int64_t local = kBatch / comm.size();
  for (int64_t t = first + 1; t <= last; ++t) {
    ada.observe(logits(t, comm.rank() * local, local));
    ada.update(t, kBatch, comm);
  }
}

TEST(AdaRanks, PIsThatOfOneRank) {
  MpiCommunicator world(MPI_COMM_WORLD), self(MPI_COMM_SELF);
  AdaController ada(adaptive(0.5)), alone(adaptive(0.5));
  bool moved = false;
  for (int64_t t = 0; t < 40; ++t) {
    train(ada, t, t + 1, world);
    train(alone, t, t + 1, self);
    EXPECT_EQ(ada.p(), alone.p());
    moved = moved || ada.p() != 0.5;
  }
  EXPECT_TRUE(moved);
}

TEST(AdaRanks, AStopBetweenAdjustmentsChangesNothing) {
  MpiCommunicator world(MPI_COMM_WORLD), self(MPI_COMM_SELF);
  AdaController through(adaptive(0.3));
  train(through, 0, 24, world);
  AdaController before(adaptive(0.3));
  train(before, 0, 14, world);
  // As a checkpoint keeps it: in text.
  const std::string text = before.save(world).dump();
  AdaController same(adaptive()), other(adaptive());
  same.load(nlohmann::json::parse(text), world);
  EXPECT_EQ(same.p(), before.p());
  train(same, 14, 24, world);
  EXPECT_EQ(same.p(), through.p());
  other.load(nlohmann::json::parse(text), self);  // on one rank
  train(other, 14, 24, self);
  EXPECT_EQ(other.p(), through.p());
}

}  // namespace
}  // namespace galette
