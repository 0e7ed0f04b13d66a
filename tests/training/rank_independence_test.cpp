// SPDX-License-Identifier: Apache-2.0
// A training iteration does the same for every split of the batch over ranks and micro-batches: all
// ranks together, against one rank alone with the whole batch in micro-batches of two.
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>
#include <mpi.h>

#include "tiny_training.h"

namespace galette {
namespace {

using testing::kBatch;
using testing::Training;

/// Of what a and b hold, against the largest value of each array.
void expect_close(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b,
                  double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_TRUE(b[i].isfinite().all().item<bool>()) << "array " << i;
    const double scale = b[i].abs().max().item<double>();
    EXPECT_LE((a[i] - b[i]).abs().max().item<double>(), tolerance * scale) << "array " << i;
  }
}

// float64 sums in another order, through two iterations of Adam with beta1 = 0, which divides
// gradients by their own size: seen 1e-12 at most.
constexpr double kRounding = 1e-9;

class SplitRanks : public ::testing::TestWithParam<const char*> {};

TEST_P(SplitRanks, DoesNotChangeAnIteration) {
  int ranks = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  Training together(GetParam(), MPI_COMM_WORLD, kBatch / ranks);
  together.iterate();
  together.iterate();
  EXPECT_TRUE(together.is_equal_everywhere());
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const std::vector<at::Tensor> values = together.values();
  if (rank != 0) return;
  Training alone(GetParam(), MPI_COMM_SELF, 2);
  alone.iterate();
  alone.iterate();
  expect_close(values, alone.values(), kRounding);
}

/// In many buckets, so that sums begin during backward passes, with and without shared optimisers.
TEST_P(SplitRanks, BucketsAndSharesDoNotChangeAnIteration) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  constexpr int64_t kBucketBytes = 25'000;
  const int64_t micro = kBatch / comm.size();
  Training at_once(GetParam(), MPI_COMM_WORLD, micro);
  Training in_buckets(GetParam(), MPI_COMM_WORLD, micro, {0, 1, kBucketBytes},
                      {.overlap = Overlap::always});
  Training shared(GetParam(), MPI_COMM_WORLD, micro, {comm.rank(), comm.size(), kBucketBytes},
                  {.overlap = Overlap::always});
  // Sums of two are the same in any order.
  const double tolerance = comm.size() <= 2 ? 0 : kRounding;
  for (Training* training : {&at_once, &in_buckets, &shared}) {
    training->iterate();
    training->iterate();
    EXPECT_TRUE(training->is_equal_everywhere());
  }
  const std::vector<at::Tensor> expected = at_once.values();
  expect_close(in_buckets.values(), expected, tolerance);
  expect_close(shared.values(), expected, tolerance);
  if (comm.size() == 1) return;
  EXPECT_EQ(at_once.milliseconds(Phase::g_main, "hidden"), 0);
  EXPECT_GT(in_buckets.milliseconds(Phase::g_main, "hidden"), 0);
  EXPECT_GT(shared.milliseconds(Phase::g_main, "hidden"), 0);
  EXPECT_GT(shared.milliseconds(Phase::g_main, "exposed"), 0);
}

class HealthRanks : public ::testing::TestWithParam<bool> {};

TEST_P(HealthRanks, ABrokenGradientIsTracedToItsRankAndPhase) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  const OptimizerShare share =
      GetParam() ? OptimizerShare{comm.rank(), comm.size(), 25'000} : OptimizerShare{};
  Training training("stylegan2", MPI_COMM_WORLD, kBatch / comm.size(), share);
  EXPECT_EQ(training.run(Phase::d_main, 0).non_finite, 0);
  // Only the last rank meets it, all are told.
  const double bad = comm.rank() == comm.size() - 1 ? std::nan("") : 0;
  const GradientHealth health = training.run(Phase::d_main, bad);
  EXPECT_GT(health.non_finite, 0);
  EXPECT_EQ(health.where.substr(0, 15), fmt::format("rank {}, Dmain, ", comm.size() - 1));
  for (const at::Tensor& values : training.values()) {
    EXPECT_TRUE(values.isfinite().all().item<bool>());
  }
}

INSTANTIATE_TEST_SUITE_P(Shares, HealthRanks, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "shared" : "whole"; });

INSTANTIATE_TEST_SUITE_P(Configurations, SplitRanks,
                         ::testing::Values("creps", "stylegan2", "stylegan3-t", "stylegan3-r"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace galette
