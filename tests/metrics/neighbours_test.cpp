// SPDX-License-Identifier: Apache-2.0
// Precision and recall of features that are shared out to the ranks.
#include "metrics/neighbours.h"

#include <gtest/gtest.h>

#include "parallel/mpi_communicator.h"

namespace galette {
namespace {

/// Of some rows, the same on all ranks, this rank's part; the last ranks have more.
SharedFeatures shared(const at::Tensor& all, Communicator& comm) {
  const int64_t n = all.size(0), ranks = comm.size() * comm.size();
  const int64_t begin = n * comm.rank() * comm.rank() / ranks;
  const int64_t end = n * (comm.rank() + 1) * (comm.rank() + 1) / ranks;
  return {all.slice(0, begin, end).contiguous(), comm};
}

class NeighboursRanks : public ::testing::Test {
 protected:
  void SetUp() override {
    at::manual_seed(1);
    // Cells of a lattice, so that many distances are equal.
    real_ = at::randint(0, 9, {2600, 4}, at::kFloat);
    generated_ = at::randint(3, 12, {1300, 4}, at::kFloat);
  }
  static double inside(const at::Tensor& manifold, const at::Tensor& probes, int64_t k) {
    const at::Tensor x = manifold.to(at::kDouble), y = probes.to(at::kDouble);
    const auto squares = [](const at::Tensor& a, const at::Tensor& b) {
      return (a.unsqueeze(1) - b.unsqueeze(0)).square().sum(2);
    };
    const at::Tensor radii = std::get<0>(squares(x, x).kthvalue(k + 1, 1));
    return squares(y, x).le(radii).any(1).to(at::kDouble).mean().item<double>();
  }

  MpiCommunicator world_{MPI_COMM_WORLD};
  at::Tensor real_, generated_;
};

TEST_F(NeighboursRanks, CoverageIsThatOfAllDistances) {
  for (const int64_t k : {1, 3}) {
    int blocks = 0;
    const Coverage found =
        coverage(shared(real_, world_), shared(generated_, world_), k, [&] { ++blocks; });
    EXPECT_EQ(found.precision, inside(real_, generated_, k));
    EXPECT_EQ(found.recall, inside(generated_, real_, k));
    EXPECT_LT(found.precision, 0.999);
    EXPECT_GT(found.recall, 0.1);
    EXPECT_GE(blocks, 3 + 2 + 3);
  }
}

TEST_F(NeighboursRanks, RowsOfAnyRankArePicked) {
  const SharedFeatures features = shared(real_, world_);
  EXPECT_EQ(features.rows(), 2600);
  EXPECT_TRUE(features.pick({2599, 0, 1311, 0})
                  .equal(real_.index_select(0, at::tensor({2599, 0, 1311, 0}, at::kLong))));
  int64_t next = 0;
  features.for_each_block([&](int64_t first, const at::Tensor& rows) {
    EXPECT_EQ(first, next);
    EXPECT_TRUE(rows.equal(real_.narrow(0, first, rows.size(0))));
    next += rows.size(0);
  });
  EXPECT_EQ(next, 2600);
}

}  // namespace
}  // namespace galette
