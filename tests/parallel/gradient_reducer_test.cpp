// SPDX-License-Identifier: Apache-2.0
// Gradients of a sum of products are whole numbers that depend on rank and element, so every sum
// over the ranks is exact in any order.
#include "parallel/gradient_reducer.h"

#include <chrono>
#include <cmath>
#include <functional>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "parallel/mpi_communicator.h"

namespace galette {
namespace {

/// Elements of the parameters; buckets of 8 cut the second one and hold the last three.
const std::vector<int64_t> kSizes{5, 16, 3, 4, 1, 2};
constexpr int64_t kTotal = 31;
constexpr int64_t kBucket = 8;
const std::vector<size_t> kAll{0, 1, 2, 3, 4, 5};

/// Counts and forwards.
class ObservedCommunicator final : public Communicator {
 public:
  int rank() const override { return comm_.rank(); }
  int size() const override { return comm_.size(); }
  void all_reduce(at::Tensor values, ReduceOp op) override { comm_.all_reduce(values, op); }
  void reduce_scatter(const at::Tensor& input, at::Tensor output) override {
    comm_.reduce_scatter(input, output);
  }
  void all_gather(const at::Tensor& input, at::Tensor output) override {
    comm_.all_gather(input, output);
  }
  using Communicator::broadcast;
  void broadcast(at::Tensor values, int root) override { comm_.broadcast(values, root); }
  void barrier() override { comm_.barrier(); }
  std::string broadcast(const std::string& text, int root) override {
    return comm_.broadcast(text, root);
  }
  std::unique_ptr<PendingCollective> start_all_reduce(at::Tensor values, ReduceOp op) override {
    started.push_back(values.storage_offset());
    return comm_.start_all_reduce(values, op);
  }
  std::unique_ptr<PendingCollective> start_reduce_scatter(at::Tensor values) override {
    started.push_back(values.storage_offset());
    return comm_.start_reduce_scatter(values);
  }

  std::vector<int64_t> started;  ///< first elements

 private:
  MpiCommunicator comm_{MPI_COMM_WORLD};
};

class Reducer : public ::testing::TestWithParam<bool> {
 protected:
  Reducer() {
    for (size_t i = 0; i < kSizes.size(); ++i) {
      arena_.add_parameter(fmt::format("p{}", i), {kSizes[i]}, Init::constant(1));
    }
    arena_.allocate();
    arena_.flat_parameters().fill_(1);
    arena_.enable_gradients();
  }

  BucketPlan plan() const { return {kTotal, kBucket, GetParam() ? comm_.size() : 1}; }

  void make(bool overlaps = true) {
    reducer_.emplace(arena_, comm_, ReductionConfig{plan(), GetParam(), overlaps});
  }

  static at::Tensor weights(size_t parameter, int rank) {
    return at::arange(1, kSizes[parameter] + 1, at::kDouble) * 10 +
           static_cast<double>(parameter) * 100 + rank;
  }

  /// A backward pass that reaches these parameters, the last of them first.
  void backward(const std::vector<size_t>& parameters, double scale = 1) {
    if (parameters.empty()) return;
    at::Tensor loss = at::zeros({}, at::kDouble);
    for (const size_t i : parameters) {
      loss = loss + (arena_.parameters()[i].tensor * weights(i, comm_.rank())).sum() * scale;
    }
    torch::autograd::backward({loss}, {});
  }

  /// One step; `parameters` are those of the last backward pass on this rank.
  ReductionTime step(const std::vector<size_t>& parameters, int kind = 0) {
    begin_step();
    reducer_->begin_last_pass(kind);
    backward(parameters);
    return reducer_->finish(kind);
  }

  void begin_step() {
    arena_.clear_gradients();
    comm_.started.clear();
  }

  /// Sum over the ranks, where reached_by(rank) tells what a rank's last pass reached.
  void expect_sums(const std::function<std::vector<size_t>(int)>& reached_by, double scale = 1) {
    at::Tensor sums = at::zeros({kTotal}, at::kDouble), reached = at::zeros({6}, at::kByte);
    for (int r = 0; r < comm_.size(); ++r) {
      for (const size_t i : reached_by(r)) {
        sums.narrow(0, arena_.parameters()[i].offset, kSizes[i]) += weights(i, r) * scale;
        reached[static_cast<int64_t>(i)] = 1;
      }
    }
    EXPECT_TRUE(at::equal(arena_.reached(), reached)) << arena_.reached();
    for (const FlatRange& range : plan().share(GetParam() ? comm_.rank() : 0)) {
      const at::Tensor own = arena_.flat_gradients().narrow(0, range.begin, range.size);
      EXPECT_TRUE(at::equal(own, sums.narrow(0, range.begin, range.size)))
          << "elements " << range.begin << " to " << range.end() << ": " << own;
    }
  }
  static std::function<std::vector<size_t>(int)> on_all(const std::vector<size_t>& parameters) {
    return [parameters](int) { return parameters; };
  }

  ObservedCommunicator comm_;
  ParameterArena arena_{at::kDouble};
  std::optional<GradientReducer> reducer_;
};
using ReducerRanks = Reducer;

TEST_P(ReducerRanks, SumsWhileTheBackwardPassGoesOn) {
  make();
  step(kAll);
  expect_sums(on_all(kAll));
  const std::vector<int64_t> first_order = comm_.started;
  begin_step();
  reducer_->begin_last_pass(0);
  backward(kAll);
  const size_t before_the_end = comm_.started.size();
  reducer_->finish(0);
  expect_sums(on_all(kAll));
  EXPECT_EQ(before_the_end, comm_.started.size());
  EXPECT_GE(comm_.started.size(), 4);
  EXPECT_EQ(comm_.started, first_order);  // parameters were reached from the last to the first
}

TEST_P(ReducerRanks, StartsInTheOrderInWhichBucketsGetComplete) {
  make();
  const std::vector<size_t> mixed{2, 3, 4, 5, 1, 0};  // 0 first, 2 last
  step(mixed);
  step(mixed);
  expect_sums(on_all(kAll));
  // The first two buckets, both with the last gradient of p1.
  const int64_t second = plan().bucket(1).begin;
  EXPECT_EQ(std::vector<int64_t>(comm_.started.begin(), comm_.started.begin() + 2),
            (std::vector<int64_t>{second, 0}));
}

TEST_P(ReducerRanks, OnlyTheLastPassIsReducedMeanwhile) {
  make();
  for (int i = 0; i < 2; ++i) {
    begin_step();
    backward(kAll, 3);
    EXPECT_TRUE(comm_.started.empty());
    reducer_->begin_last_pass(0);
    backward(kAll);
    reducer_->finish(0);
    expect_sums(on_all(kAll), 4);
  }
}

TEST_P(ReducerRanks, RanksMayReachParametersInOtherOrders) {
  make();
  const std::vector<size_t> backwards{5, 4, 3, 2, 1, 0};
  for (int i = 0; i < 3; ++i) step(comm_.rank() % 2 == 0 ? kAll : backwards);
  expect_sums(on_all(kAll));
  uint64_t order = 0;
  for (const int64_t begin : comm_.started) order = order * 37 + static_cast<uint64_t>(begin);
  EXPECT_TRUE(comm_.agree(order));
}

TEST_P(ReducerRanks, AParameterThatIsNoLongerReachedHangsNobody) {
  make();
  step(kAll);
  const std::vector<size_t> fewer{0, 2, 3, 5};
  const auto reached_by = [&](int rank) { return rank == 0 ? fewer : kAll; };
  step(reached_by(comm_.rank()));
  expect_sums(reached_by);
  step(fewer);
  expect_sums(on_all(fewer));
}

TEST_P(ReducerRanks, AParameterThatIsReachedLaterOnCounts) {
  make();
  const std::vector<size_t> fewer{0, 2, 3, 5};
  step(fewer);
  step(fewer);
  expect_sums(on_all(fewer));
  const int last = comm_.size() - 1;
  const auto reached_by = [&](int rank) { return rank == last ? kAll : fewer; };
  for (int i = 0; i < 2; ++i) {
    step(reached_by(comm_.rank()));
    expect_sums(reached_by);
  }
}

TEST_P(ReducerRanks, EarlierPassesMayReachMore) {
  make();
  for (int i = 0; i < 2; ++i) {
    begin_step();
    backward({1, 2, 3, 4, 5});
    reducer_->begin_last_pass(0);
    backward({0});
    reducer_->finish(0);
    expect_sums(on_all(kAll));
  }
}

TEST_P(ReducerRanks, ASecondLastPassIsRefused) {
  make();
  reducer_->begin_last_pass(0);
  backward(kAll);
  EXPECT_THROW(backward(kAll), c10::Error);
}

TEST_P(ReducerRanks, ARankWithoutSamplesTakesPart) {
  make();
  const auto reached_by = [&](int rank) { return rank == 0 ? kAll : std::vector<size_t>{}; };
  for (int i = 0; i < 3; ++i) {
    begin_step();
    if (comm_.rank() == 0) {
      reducer_->begin_last_pass(0);
      backward(kAll);
    }
    reducer_->finish(0);
    expect_sums(reached_by);
  }
}

TEST_P(ReducerRanks, KindsOfPassesAreLearntApart) {
  make();
  const std::vector<size_t> others{1, 4};
  for (int i = 0; i < 3; ++i) {
    step(kAll, 1);
    expect_sums(on_all(kAll));
    step(others, 2);
    expect_sums(on_all(others));
  }
}

TEST_P(ReducerRanks, WithoutOverlapSumsAtTheEnd) {
  make(false);
  for (int i = 0; i < 2; ++i) {
    begin_step();
    reducer_->begin_last_pass(0);
    backward(kAll);
    EXPECT_TRUE(comm_.started.empty());
    const ReductionTime time = reducer_->finish(0);
    expect_sums(on_all(kAll));
    EXPECT_GT(time.exposed, 0);
    EXPECT_EQ(time.hidden, 0);
  }
}

TEST_P(ReducerRanks, TellsWhichParameterWasNotFinite) {
  for (const bool overlaps : {false, true}) {
    make(overlaps);
    for (int i = 0; i < 2; ++i) {
      step(kAll);
      EXPECT_EQ(reducer_->first_non_finite(reducer_->steps()), -1);
      begin_step();
      reducer_->begin_last_pass(0);
      backward({3, 1}, comm_.rank() == 0 ? std::nan("") : 1);
      reducer_->finish(0);
      EXPECT_EQ(reducer_->first_non_finite(reducer_->steps()), comm_.rank() == 0 ? 1 : -1);
    }
    reducer_.reset();
  }
}

TEST_P(ReducerRanks, TimeUntilTheEndOfTheBackwardPassIsHidden) {
  if (comm_.size() == 1) GTEST_SKIP() << "nothing to wait for on one rank";
  make();
  step(kAll);
  begin_step();
  reducer_->begin_last_pass(0);
  // Rank 0 is late: the others compute meanwhile, and then wait.
  constexpr std::chrono::milliseconds kLate(120), kComputation(30);
  if (comm_.rank() == 0) std::this_thread::sleep_for(kLate);
  const auto begin = std::chrono::steady_clock::now();
  backward(kAll);
  if (comm_.rank() != 0) std::this_thread::sleep_for(kComputation);
  const ReductionTime time = reducer_->finish(0);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  EXPECT_LE(time.hidden + time.exposed, elapsed.count());
  if (comm_.rank() == 0) return;
  EXPECT_GE(time.hidden, 0.03);
  EXPECT_GE(time.exposed, 0.02);
}

INSTANTIATE_TEST_SUITE_P(Whole, ReducerRanks, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Sharded, ReducerRanks, ::testing::Values(true));

TEST(BucketPlan, PiecesCoverTheRangeOnce) {
  for (const int64_t size : {0, 1, 7, 8, 64, 1000}) {
    for (const int ranks : {1, 2, 3, 7}) {
      const BucketPlan plan(size, 16, ranks);
      std::vector<int> owners(static_cast<size_t>(size), 0);
      for (int r = 0; r < ranks; ++r) {
        for (const FlatRange& range : plan.share(r)) {
          for (int64_t i = range.begin; i < range.end(); ++i) ++owners[static_cast<size_t>(i)];
        }
      }
      EXPECT_EQ(owners, std::vector<int>(static_cast<size_t>(size), 1)) << size << " on " << ranks;
      for (int64_t i = 0; i < size; ++i) {
        const int64_t b = plan.bucket_of(i);
        const FlatRange range = b < plan.count() ? plan.bucket(b) : plan.rest();
        EXPECT_TRUE(range.begin <= i && i < range.end()) << i << " of " << size;
      }
    }
  }
}

TEST(GatherPiecesRanks, GivesEveryRankEverything) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  const BucketPlan plan(kTotal, kBucket, comm.size());
  const at::Tensor flat = at::full({kTotal}, -1, at::kDouble);
  const at::Tensor whole = at::arange(kTotal, at::kDouble);
  for (const FlatRange& range : plan.share(comm.rank())) {
    flat.narrow(0, range.begin, range.size).copy_(whole.narrow(0, range.begin, range.size));
  }
  gather_pieces(plan, flat, comm);
  EXPECT_TRUE(at::equal(flat, whole));
}

}  // namespace
}  // namespace galette
