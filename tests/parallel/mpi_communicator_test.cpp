// SPDX-License-Identifier: Apache-2.0
// Collectives against values computed directly: element i of rank r is a small whole number that
// depends on both, so every sum is exact in every type and no expectation is zero.
#include "parallel/mpi_communicator.h"

#include <gtest/gtest.h>

#include "io/check.h"

namespace galette {
namespace {

constexpr int64_t kElements = 37;  // not a multiple of the piece length below

int64_t value_of(int rank, int64_t i) {
  return (rank + 1) * 3 + (i * 7 + rank) % 11;
}

at::Tensor of_rank(int rank, int64_t n, at::ScalarType type) {
  at::Tensor t = at::empty({n}, at::kLong);
  for (int64_t i = 0; i < n; ++i) t[i] = value_of(rank, i);
  return t.to(type);
}

/// Element-wise reduction over all ranks, in plain integers.
at::Tensor reduced(int ranks, int64_t n, ReduceOp op, at::ScalarType type) {
  at::Tensor t = of_rank(0, n, at::kLong);
  for (int r = 1; r < ranks; ++r) {
    const at::Tensor next = of_rank(r, n, at::kLong);
    if (op == ReduceOp::sum) t = t + next;
    if (op == ReduceOp::min) t = at::minimum(t, next);
    if (op == ReduceOp::max) t = at::maximum(t, next);
  }
  return t.to(type);
}

class CommunicatorRanks : public ::testing::TestWithParam<std::tuple<at::ScalarType, int64_t>> {
 protected:
  at::ScalarType type_ = std::get<0>(GetParam());
  MpiCommunicator comm_{MPI_COMM_WORLD, std::get<1>(GetParam())};
};

TEST_P(CommunicatorRanks, AllReduce) {
  for (const ReduceOp op : {ReduceOp::sum, ReduceOp::min, ReduceOp::max}) {
    at::Tensor t = of_rank(comm_.rank(), kElements, type_);
    comm_.all_reduce(t, op);
    EXPECT_TRUE(at::equal(t, reduced(comm_.size(), kElements, op, type_)));
  }
}

TEST_P(CommunicatorRanks, ReduceScatterGivesEachRankItsPartOfTheSum) {
  const int64_t total = kElements * comm_.size();
  at::Tensor part = at::full({kElements}, 99, type_);
  comm_.reduce_scatter(of_rank(comm_.rank(), total, type_), part);
  const at::Tensor sum = reduced(comm_.size(), total, ReduceOp::sum, type_);
  EXPECT_TRUE(at::equal(part, sum.narrow(0, comm_.rank() * kElements, kElements)));
}

TEST_P(CommunicatorRanks, StartedAllReducesGoOnTogether) {
  const at::Tensor added = of_rank(comm_.rank(), kElements, type_), highest = added.clone();
  const auto sum = comm_.start_all_reduce(added, ReduceOp::sum);
  const auto max = comm_.start_all_reduce(highest, ReduceOp::max);
  max->wait();
  EXPECT_TRUE(max->test());
  while (!sum->test()) {
  }
  sum->wait();  // once more does no harm
  EXPECT_TRUE(at::equal(added, reduced(comm_.size(), kElements, ReduceOp::sum, type_)));
  EXPECT_TRUE(at::equal(highest, reduced(comm_.size(), kElements, ReduceOp::max, type_)));
}

TEST_P(CommunicatorRanks, StartedReduceScattersSumTheOwnPartInPlace) {
  const int64_t total = kElements * comm_.size();
  const at::Tensor values = of_rank(comm_.rank(), total, type_), others = values + 1;
  const auto pending = comm_.start_reduce_scatter(values);
  const auto further = comm_.start_reduce_scatter(others);
  pending->wait();
  further->wait();
  const at::Tensor sum = reduced(comm_.size(), total, ReduceOp::sum, type_)
                             .narrow(0, comm_.rank() * kElements, kElements);
  EXPECT_TRUE(at::equal(values.narrow(0, comm_.rank() * kElements, kElements), sum));
  EXPECT_TRUE(at::equal(others.narrow(0, comm_.rank() * kElements, kElements), sum + comm_.size()));
}

TEST_P(CommunicatorRanks, AllGatherOfThePartThatIsInPlace) {
  at::Tensor all = at::full({comm_.size(), kElements}, 99, type_);
  all[comm_.rank()].copy_(of_rank(comm_.rank(), kElements, type_));
  comm_.all_gather(all[comm_.rank()], all);
  for (int r = 0; r < comm_.size(); ++r) {
    EXPECT_TRUE(at::equal(all[r], of_rank(r, kElements, type_))) << "part of rank " << r;
  }
}

TEST_P(CommunicatorRanks, AllGatherKeepsRankOrder) {
  at::Tensor all = at::full({comm_.size(), kElements}, 99, type_);
  comm_.all_gather(of_rank(comm_.rank(), kElements, type_), all);
  for (int r = 0; r < comm_.size(); ++r) {
    EXPECT_TRUE(at::equal(all[r], of_rank(r, kElements, type_))) << "part of rank " << r;
  }
}

TEST_P(CommunicatorRanks, BroadcastFromEveryRank) {
  for (int root = 0; root < comm_.size(); ++root) {
    at::Tensor t = of_rank(comm_.rank(), kElements, type_);
    comm_.broadcast(t, root);
    EXPECT_TRUE(at::equal(t, of_rank(root, kElements, type_)));
  }
}

// A piece length of 5 takes the path of tensors that are too long for one MPI message.
INSTANTIATE_TEST_SUITE_P(Types, CommunicatorRanks,
                         ::testing::Combine(::testing::Values(at::kFloat, at::kDouble, at::kInt,
                                                              at::kLong, at::kByte),
                                            ::testing::Values(int64_t{1} << 30, int64_t{5})));

TEST(CommunicatorScalarsRanks, SumMaxAnyAll) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  const int n = comm.size();
  EXPECT_EQ(comm.sum(comm.rank() + 1.5), 0.5 * n * (n - 1) + 1.5 * n);
  EXPECT_EQ(comm.max(-comm.rank() - 2.0), -2.0);
  EXPECT_TRUE(comm.any(comm.rank() == n - 1));
  EXPECT_FALSE(comm.any(false));
  EXPECT_EQ(comm.all(comm.rank() == 0), n == 1);
  EXPECT_TRUE(comm.all(true));
}

TEST(CommunicatorScalarsRanks, AgreeSeesOneDifferentRank) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  EXPECT_TRUE(comm.agree(0xfedcba9876543210u));
  const uint64_t odd_one = comm.rank() == comm.size() - 1 ? 1 : 0;
  EXPECT_EQ(comm.agree(0xfedcba9876543210u ^ odd_one), comm.size() == 1);
}

TEST(CommunicatorScalarsRanks, BroadcastsTextOfAnyLength) {
  MpiCommunicator comm(MPI_COMM_WORLD, 4);
  const int root = comm.size() - 1;
  const std::string text = "crêpes and galettes";
  EXPECT_EQ(comm.broadcast(comm.rank() == root ? text : "x", root), text);
  EXPECT_EQ(comm.broadcast(comm.rank() == root ? std::string() : text, root), "");
}

TEST(CommunicatorScalarsRanks, WorksOnAPartOfTheWorld) {
  int rank = 0;
  MPI_CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
  MPI_Comm half = MPI_COMM_NULL;
  MPI_CHECK(MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &half));
  {
    MpiCommunicator comm(half);
    EXPECT_EQ(comm.sum(rank % 2 + 1), (rank % 2 + 1) * comm.size());
  }
  MPI_CHECK(MPI_Comm_free(&half));
}

TEST(CommunicatorScalarsRanks, EmptyTensorsAreFine) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  at::Tensor none = at::empty({0});
  comm.all_reduce(none, ReduceOp::sum);
  comm.reduce_scatter(none, at::empty({0}));
  comm.all_gather(none, at::empty({0}));
  comm.broadcast(none, 0);
  comm.start_all_reduce(none, ReduceOp::sum)->wait();
  comm.start_reduce_scatter(none)->wait();
}

TEST(CommunicatorErrors, RefusesWhatItCannotMove) {
  MpiCommunicator comm(MPI_COMM_SELF);
  EXPECT_THROW(comm.all_reduce(at::ones({3, 4}).t(), ReduceOp::sum), c10::Error);
  EXPECT_THROW(comm.all_reduce(at::ones({3}, at::kHalf), ReduceOp::sum), c10::Error);
  EXPECT_THROW(comm.all_gather(at::ones({3}), at::ones({4})), c10::Error);
  EXPECT_THROW(comm.reduce_scatter(at::ones({3}), at::ones({3}, at::kDouble)), c10::Error);
  EXPECT_THROW(comm.broadcast(at::Tensor(), 0), c10::Error);
  EXPECT_THROW(comm.start_all_reduce(at::ones({3}, at::kHalf), ReduceOp::sum), c10::Error);
  EXPECT_THROW(comm.start_reduce_scatter(at::ones({3, 4}).t()), c10::Error);
}

}  // namespace
}  // namespace galette
