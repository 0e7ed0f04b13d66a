// SPDX-License-Identifier: Apache-2.0
// A training iteration does the same for every split of the batch over ranks and micro-batches: all
// ranks together, against one rank alone with the whole batch in micro-batches of two.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include "parallel/mpi_communicator.h"
#include "training/consistency.h"
#include "training/ema.h"
#include "training/phases.h"
#include "training/train_networks.h"

namespace galette {
namespace {

constexpr int64_t kBatch = 8;
constexpr int64_t kLabels = 3;
constexpr int64_t kResolution = 16;

TrainOptions tiny(const std::string& cfg, int64_t ranks, int64_t micro) {
  TrainOptions o;
  o.cfg = cfg;
  o.batch = kBatch;
  o.gpus = ranks;
  o.batch_gpu = micro;
  o.mbstd_group = 2;
  o.gamma = 1;
  o.glr = o.dlr = 0.002;
  o.map_depth = 1;
  o.cbase = 64;
  o.cmax = 8;
  o.precision = "fp64";  // what remains are sums in another order
  o.aug = "ada";
  return o;
}

/// Labels of generated samples: a function of the sample.
at::Tensor one_hot(const std::vector<int64_t>& samples) {
  at::Tensor labels = at::zeros({static_cast<int64_t>(samples.size()), kLabels});
  for (size_t i = 0; i < samples.size(); ++i) {
    labels[static_cast<int64_t>(i)][samples[i] % kLabels] = 1;
  }
  return labels;
}

/// The reals of one rank, cut out of the same batch.
RealBatch reals_of(const BatchPlan& plan) {
  const at::Tensor images =
      (at::arange(kBatch * 3 * kResolution * kResolution, at::kLong).square() % 251)
          .to(at::kByte)
          .view({kBatch, 3, kResolution, kResolution});
  return {images.narrow(0, plan.rank * plan.local(), plan.local()), one_hot(plan.local_samples())};
}

class Training {
 public:
  Training(const std::string& cfg, MPI_Comm comm, int64_t micro, const OptimizerShare& share = {},
           Overlap overlap = Overlap::where_it_pays)
      : comm_(comm),
        options_(tiny(cfg, comm_.size(), micro)),
        draws_(SampleRng(7), tensor_options(options_)),
        plan_{kBatch, comm_.size(), comm_.rank(), micro},
        state_(make_train_state(options_, kShape, share)),
        losses_(loss_config(options_)),
        pipe_(make_augment_pipe(options_, kShape)),
        phases_(
            state_, losses_, plan_, comm_,
            PhaseInputs(
                state_, losses_, draws_,
                [](Phase, int64_t, const std::vector<int64_t>& s) { return one_hot(s); }, &*pipe_),
            statistics_, overlap) {
    // Strong enough to matter in two iterations.
    losses_.blur_start = losses_.blur_start > 0 ? 2 : 0;
    state_.ada.load({{"p", 0.5}, {"seen", {0, 0, 0, 0}}}, comm_);
  }

  void iterate() {
    for (const Phase phase : kPhases) {
      if (losses_.due(phase, state_.iteration)) phases_.run(phase, reals_of(plan_));
    }
    update_ema(*state_.g_ema, *state_.g, 0.5);
    state_.images += kBatch;
    ++state_.iteration;
    state_.ada.update(state_.iteration, kBatch, comm_);
  }

  bool is_equal_everywhere() { return inconsistent_array(state_, comm_).empty(); }

  /// One phase, with `added` to the labels of the reals.
  GradientHealth run(Phase phase, double added) {
    RealBatch reals = reals_of(plan_);
    reals.labels += added;
    return phases_.run(phase, reals);
  }

  /// Mean time that communication held up a phase, or went on behind its backward pass.
  double milliseconds(Phase phase, const char* kind) {
    statistics_.collect(comm_);
    return statistics_.mean(fmt::format("Timing/{}_comm_{}_ms", phase_name(phase), kind));
  }

  /// Everything that the iterations moved. Collective.
  std::vector<at::Tensor> values() {
    std::vector<at::Tensor> all{
        at::tensor({state_.path_length_mean.value(), state_.ada.p()}, at::kDouble)};
    for (const auto* network : {static_cast<const Network*>(state_.g.get()),
                                static_cast<const Network*>(state_.g_ema.get()),
                                static_cast<const Network*>(state_.d.get())}) {
      all.push_back(network->arena().flat_parameters().detach());
      all.push_back(network->arena().flat_buffers());
    }
    for (const Adam* adam : {&*state_.g_adam, &*state_.d_adam}) {
      const int64_t size = adam->plan().size();
      all.push_back(at::empty({size}, adam->second_moment().options()));
      adam->gather_second_moment({0, size}, all.back(), comm_);
    }
    return all;
  }

 private:
  static constexpr ImageShape kShape{kResolution, 3, kLabels};
  MpiCommunicator comm_;
  TrainOptions options_;
  Draws draws_;
  BatchPlan plan_;
  TrainState state_;
  LossConfig losses_;
  std::optional<AugmentPipe> pipe_;
  Statistics statistics_;
  PhaseRunner phases_;
};

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
  Training in_buckets(GetParam(), MPI_COMM_WORLD, micro, {0, 1, kBucketBytes}, Overlap::always);
  Training shared(GetParam(), MPI_COMM_WORLD, micro, {comm.rank(), comm.size(), kBucketBytes},
                  Overlap::always);
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
