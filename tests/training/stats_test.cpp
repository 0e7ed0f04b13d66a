// SPDX-License-Identifier: Apache-2.0
#include "training/stats.h"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "parallel/mpi_communicator.h"

namespace galette {
namespace {

/// Element i of what rank r reports: rank r reports r + 2 elements.
double element(int rank, int i) {
  return 0.25 * (rank + 1) - 1.5 * i;
}

at::Tensor of_rank(int rank) {
  at::Tensor values = at::empty({rank + 2, 1});
  for (int i = 0; i < rank + 2; ++i) values[i][0] = element(rank, i);
  return values;
}

/// Count, mean and standard deviation of all elements of ranks [0, ranks), in two passes.
struct Expected {
  double num = 0, mean = 0, std = 0;
  explicit Expected(int ranks) {
    for (int r = 0; r < ranks; ++r) {
      for (int i = 0; i < r + 2; ++i) num += 1, mean += element(r, i);
    }
    mean /= num;
    for (int r = 0; r < ranks; ++r) {
      for (int i = 0; i < r + 2; ++i) std += std::pow(element(r, i) - mean, 2);
    }
    std = std::sqrt(std / num);
  }
};

TEST(StatisticsRanks, MomentsOverAllRanks) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  Statistics stats;
  // In two reports, as micro-batches come.
  const at::Tensor values = of_rank(comm.rank());
  stats.report("Loss/G/loss", values.narrow(0, 0, 1));
  stats.report("Loss/G/loss", values.narrow(0, 1, values.size(0) - 1));
  stats.collect(comm);
  const Expected expected(comm.size());
  EXPECT_EQ(stats.num("Loss/G/loss"), expected.num);
  EXPECT_NEAR(stats.mean("Loss/G/loss"), expected.mean, 1e-14);
  // The square of the mean is subtracted from the mean square: a few units of rounding.
  EXPECT_NEAR(stats.std("Loss/G/loss"), expected.std, 1e-13);
}

TEST(StatisticsRanks, OfScoresKnowTheirSigns) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  Statistics stats;
  stats.report_scores(ScoresOf::real, at::tensor({-3.0F, 1.0F, 0.5F, 2.5F}));
  stats.report_scores(ScoresOf::fake, at::tensor({-4.0F}));
  stats.collect(comm);
  EXPECT_EQ(stats.num("Loss/signs/real"), 4.0 * comm.size());
  EXPECT_EQ(stats.mean("Loss/scores/real"), 0.25);
  EXPECT_EQ(stats.mean("Loss/signs/real"), 0.5);
  EXPECT_EQ(stats.mean("Loss/scores/fake"), -4);
  EXPECT_EQ(stats.mean("Loss/signs/fake"), -1);
}

TEST(StatisticsRanks, ANameWithoutNewValuesKeepsWhatItHad) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  Statistics stats;
  stats.report("Loss/D/loss", 3.0);
  stats.collect(comm);
  stats.report("Loss/G/loss", 5.0);
  stats.collect(comm);
  EXPECT_EQ(stats.mean("Loss/D/loss"), 3.0);
  EXPECT_EQ(stats.num("Loss/D/loss"), comm.size());
  EXPECT_EQ(stats.mean("Loss/G/loss"), 5.0);
  stats.report("Loss/D/loss", 7.0);
  stats.collect(comm);
  EXPECT_EQ(stats.mean("Loss/D/loss"), 7.0);
  EXPECT_EQ(stats.num("Loss/D/loss"), comm.size());
}

/// Recorded work goes on adding to the same memory.
TEST(StatisticsRanks, SumsStayWhereTheyAre) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  Statistics stats;
  const at::Tensor sums = stats.sums_on(at::kCPU);
  for (const double value : {1.0, 3.0}) {
    stats.report("Loss/G/loss", at::tensor({value}));
    EXPECT_TRUE(sums.is_same(stats.sums_on(at::kCPU)));
    stats.collect(comm);
    EXPECT_EQ(stats.mean("Loss/G/loss"), value);
  }
}

TEST(StatisticsRanks, ARestoredStateGoesOnBitForBit) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  Statistics original;
  original.report("Loss/G/reg", of_rank(comm.rank()) / 3);
  original.collect(comm);
  original.report("Loss/G/loss", of_rank(comm.rank()) / 7);
  const at::Tensor state = original.save(comm);
  EXPECT_EQ(state.size(0), comm.size() + 1);
  Statistics restored;
  restored.load(state, comm);
  for (Statistics* stats : {&original, &restored}) {
    stats->report("Loss/G/loss", of_rank(comm.rank()) / 9);
  }
  EXPECT_TRUE(at::equal(original.save(comm), restored.save(comm)));
  for (Statistics* stats : {&original, &restored}) stats->collect(comm);
  // As texts, since a NaN differs from itself.
  EXPECT_EQ(original.to_json().dump(), restored.to_json().dump());
  EXPECT_GT(restored.num("Loss/G/loss"), 0);
}

TEST(StatisticsRanks, AStateOfOtherRanksKeepsTheTotals) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  const auto names = static_cast<int64_t>(Statistics::names().size());
  // Written by size + 2 ranks; rank r there had reported r + 1 as the first statistic.
  const int64_t writers = comm.size() + 2;
  at::Tensor state = at::zeros({writers + 1, names, 3}, at::kDouble);
  for (int64_t r = 0; r < writers; ++r) {
    state[r][0] = at::tensor({1.0, r + 1.0, (r + 1.0) * (r + 1.0)}, at::kDouble);
  }
  Statistics stats;
  stats.load(state, comm);
  stats.collect(comm);
  const std::string_view first = Statistics::names()[0];
  EXPECT_EQ(stats.num(first), static_cast<double>(writers));
  EXPECT_EQ(stats.mean(first), (static_cast<double>(writers) + 1) / 2);
}

TEST(StatisticsTest, FewValues) {
  MpiCommunicator comm(MPI_COMM_SELF);
  Statistics stats;
  stats.report("Progress/kimg", 4.5);
  stats.collect(comm);
  EXPECT_TRUE(std::isnan(stats.mean("Loss/G/loss")));
  EXPECT_TRUE(std::isnan(stats.std("Loss/G/loss")));
  EXPECT_EQ(stats.std("Progress/kimg"), 0);
  EXPECT_EQ(stats.to_json()["Progress/kimg"].dump(), R"({"num":1,"mean":4.5,"std":0.0})");
  EXPECT_EQ(stats.to_json()["Loss/G/loss"].dump(), R"({"num":0,"mean":null,"std":null})");
}

TEST(StatisticsTest, ANaNIsNotHidden) {
  MpiCommunicator comm(MPI_COMM_SELF);
  Statistics stats;
  stats.report("Loss/G/loss", at::tensor({1.0f, std::nanf("")}));
  stats.collect(comm);
  EXPECT_TRUE(std::isnan(stats.mean("Loss/G/loss")));
  EXPECT_TRUE(std::isnan(stats.std("Loss/G/loss")));
}

TEST(StatisticsTest, NamesAreAFixedList) {
  Statistics stats;
  EXPECT_THROW(stats.report("Loss/G/los", 1.0), c10::Error);
  const auto& names = Statistics::names();
  EXPECT_EQ(std::set<std::string_view>(names.begin(), names.end()).size(), names.size());
}

TEST(StatisticsTest, RefusesAStateOfAnotherList) {
  MpiCommunicator comm(MPI_COMM_SELF);
  Statistics stats;
  EXPECT_THROW(stats.load(at::zeros({2, 5, 3}, at::kDouble), comm), c10::Error);
}

}  // namespace
}  // namespace galette
