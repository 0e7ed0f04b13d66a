// SPDX-License-Identifier: Apache-2.0
// Collectives against values computed directly: element i of rank r is a small whole number that
// depends on both, so every sum is exact in every type and no expectation is zero.
#include "parallel/mpi_communicator.h"

#include <gtest/gtest.h>

#include "io/check.h"
#include "parallel/device_choice.h"
#include "parallel/gpu.h"

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

bool same(const at::Tensor& a, const at::Tensor& b) {
  return at::equal(a.cpu(), b.cpu());
}

/// Why NCCL cannot be tested here; empty when it can. Equal on all ranks.
std::string gpu_obstacle(Communicator& comm) {
  try {
    if (choose_device(DeviceWish::automatic, comm).gpu >= 0) return "";
    return "NCCL is not tested: no GPU is visible";
  } catch (const InputError& error) {
    return std::string("NCCL is not tested: ") + error.what();
  }
}

/// How tensors travel. MPI's messages of five elements stand for those that are too long for one.
enum class Over { mpi, mpi_in_pieces, nccl };

// NOLINTNEXTLINE(readability-identifier-naming): the name that GoogleTest looks for
void PrintTo(Over over, std::ostream* out) {
  *out << (over == Over::nccl ? "NCCL" : over == Over::mpi ? "MPI" : "MPI in pieces");
}

class CommunicatorRanks : public ::testing::TestWithParam<std::tuple<at::ScalarType, Over>> {
 protected:
  void SetUp() override {
    const Over over = std::get<1>(GetParam());
    const int64_t most = over == Over::mpi_in_pieces ? 5 : int64_t{1} << 30;
    auto host = std::make_unique<MpiCommunicator>(MPI_COMM_WORLD, most);
    if (over != Over::nccl) {
      comm_ = std::move(host);
      return;
    }
    if (const std::string obstacle = gpu_obstacle(*host); !obstacle.empty())
      GTEST_SKIP() << obstacle;
    const int gpu = choose_device(DeviceWish::cuda, *host).gpu;
    use_gpu(gpu);
    device_ = at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(gpu));
    comm_ = make_gpu_communicator(*host, gpu);
  }

  at::Tensor on_device(const at::Tensor& values) const { return values.to(device_); }
  /// The values of this rank.
  at::Tensor own(int64_t n) const { return on_device(of_rank(comm_->rank(), n, type_)); }
  at::Tensor nothing(at::IntArrayRef shape) const { return on_device(at::full(shape, 99, type_)); }

  at::ScalarType type_ = std::get<0>(GetParam());
  at::Device device_ = at::kCPU;
  std::unique_ptr<Communicator> comm_;
};

TEST_P(CommunicatorRanks, AllReduce) {
  for (const ReduceOp op : {ReduceOp::sum, ReduceOp::min, ReduceOp::max}) {
    at::Tensor t = own(kElements);
    comm_->all_reduce(t, op);
    EXPECT_TRUE(same(t, reduced(comm_->size(), kElements, op, type_)));
  }
}

TEST_P(CommunicatorRanks, ReduceScatterGivesEachRankItsPartOfTheSum) {
  const int64_t total = kElements * comm_->size();
  at::Tensor part = nothing({kElements});
  comm_->reduce_scatter(own(total), part);
  const at::Tensor sum = reduced(comm_->size(), total, ReduceOp::sum, type_);
  EXPECT_TRUE(same(part, sum.narrow(0, comm_->rank() * kElements, kElements)));
}

TEST_P(CommunicatorRanks, StartedAllReducesGoOnTogether) {
  const at::Tensor added = own(kElements), highest = added.clone();
  const auto sum = comm_->start_all_reduce(added, ReduceOp::sum);
  const auto max = comm_->start_all_reduce(highest, ReduceOp::max);
  max->wait();
  EXPECT_TRUE(max->test());
  while (!sum->test()) {
  }
  sum->wait();  // once more does no harm
  EXPECT_TRUE(same(added, reduced(comm_->size(), kElements, ReduceOp::sum, type_)));
  EXPECT_TRUE(same(highest, reduced(comm_->size(), kElements, ReduceOp::max, type_)));
}

TEST_P(CommunicatorRanks, StartedReduceScattersSumTheOwnPartInPlace) {
  const int64_t total = kElements * comm_->size();
  const at::Tensor values = own(total), others = values + 1;
  const auto pending = comm_->start_reduce_scatter(values);
  const auto further = comm_->start_reduce_scatter(others);
  pending->wait();
  further->wait();
  const at::Tensor sum = reduced(comm_->size(), total, ReduceOp::sum, type_)
                             .narrow(0, comm_->rank() * kElements, kElements);
  EXPECT_TRUE(same(values.narrow(0, comm_->rank() * kElements, kElements), sum));
  EXPECT_TRUE(same(others.narrow(0, comm_->rank() * kElements, kElements), sum + comm_->size()));
}

TEST_P(CommunicatorRanks, AllGatherOfThePartThatIsInPlace) {
  at::Tensor all = nothing({comm_->size(), kElements});
  all[comm_->rank()].copy_(own(kElements));
  comm_->all_gather(all[comm_->rank()], all);
  for (int r = 0; r < comm_->size(); ++r) {
    EXPECT_TRUE(same(all[r], of_rank(r, kElements, type_))) << "part of rank " << r;
  }
}

TEST_P(CommunicatorRanks, AllGatherKeepsRankOrder) {
  at::Tensor all = nothing({comm_->size(), kElements});
  comm_->all_gather(own(kElements), all);
  for (int r = 0; r < comm_->size(); ++r) {
    EXPECT_TRUE(same(all[r], of_rank(r, kElements, type_))) << "part of rank " << r;
  }
}

TEST_P(CommunicatorRanks, BroadcastFromEveryRank) {
  for (int root = 0; root < comm_->size(); ++root) {
    at::Tensor t = own(kElements);
    comm_->broadcast(t, root);
    EXPECT_TRUE(same(t, of_rank(root, kElements, type_)));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Types, CommunicatorRanks,
    ::testing::Combine(::testing::Values(at::kFloat, at::kDouble, at::kInt, at::kLong, at::kByte),
                       ::testing::Values(Over::mpi, Over::mpi_in_pieces, Over::nccl)));

TEST(NcclRanks, HostTensorsScalarsAndTextsTravelToo) {
  MpiCommunicator host(MPI_COMM_WORLD);
  if (const std::string obstacle = gpu_obstacle(host); !obstacle.empty()) GTEST_SKIP() << obstacle;
  const int gpu = choose_device(DeviceWish::cuda, host).gpu;
  use_gpu(gpu);
  const std::unique_ptr<Communicator> comm = make_gpu_communicator(host, gpu);
  const int n = comm->size();
  EXPECT_EQ(comm->sum(comm->rank() + 1), 0.5 * n * (n + 1));
  EXPECT_EQ(comm->broadcast(comm->rank() == n - 1 ? "galette" : "x", n - 1), "galette");
  const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(gpu));
  EXPECT_THROW(comm->all_reduce(at::ones({3}, device).to(at::kHalf), ReduceOp::sum), c10::Error);
  EXPECT_THROW(comm->all_reduce(at::ones({3, 4}, device).t(), ReduceOp::sum), c10::Error);
  const at::Tensor late = at::full({1 << 20}, 1.0, device);
  comm->all_reduce(late.mul_(2), ReduceOp::sum);  // ordered after what was queued before
  EXPECT_EQ(late.sub_(2 * n).abs_().max().item<double>(), 0);
  comm->barrier();
  comm->check();
}

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
