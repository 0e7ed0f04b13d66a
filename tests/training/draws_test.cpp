// SPDX-License-Identifier: Apache-2.0
// Every draw of an iteration is the same however the batch is split, exactly.
#include "training/draws.h"

#include <gtest/gtest.h>

#include "training/batch_plan.h"
#include "training/infinite_sampler.h"

namespace galette {
namespace {

struct Split {
  int64_t ranks, micro;
};

const Split kSplits[] = {{1, 16}, {1, 4}, {2, 8}, {2, 4}, {4, 4}};
constexpr int64_t kBatch = 16;

/// All samples of a batch in the order in which a split works on them.
std::vector<int64_t> samples_of(const Split& split) {
  std::vector<int64_t> all;
  for (int64_t rank = 0; rank < split.ranks; ++rank) {
    const BatchPlan plan{kBatch, split.ranks, rank, split.micro};
    for (int64_t step = 0; step < plan.steps(); ++step) {
      for (const int64_t g : plan.samples(step)) all.push_back(g);
    }
  }
  return all;
}

TEST(Draws, SplitsCoverTheBatchOnceAndInOrder) {
  for (const Split& split : kSplits) {
    const std::vector<int64_t> samples = samples_of(split);
    ASSERT_EQ(samples.size(), size_t(kBatch));
    for (int64_t g = 0; g < kBatch; ++g) EXPECT_EQ(samples[size_t(g)], g);
  }
}

TEST(Draws, AreFunctionsOfTheSampleAlone) {
  Draws draws(SampleRng(3), at::kFloat);
  draws.begin_iteration(5);
  const BatchPlan whole{kBatch, 1, 0, kBatch};
  const at::Tensor z = draws.latents(Phase::g_main, whole.local_samples(), 8);
  const at::Tensor noise = draws.path_noise(whole.local_samples(), 3, 4);
  for (const Split& split : kSplits) {
    for (int64_t rank = 0; rank < split.ranks; ++rank) {
      const BatchPlan plan{kBatch, split.ranks, rank, split.micro};
      for (int64_t step = 0; step < plan.steps(); ++step) {
        const std::vector<int64_t> samples = plan.samples(step);
        const at::Tensor own = draws.latents(Phase::g_main, samples, 8);
        EXPECT_TRUE(at::equal(own, z.narrow(0, samples[0], split.micro)));
        EXPECT_TRUE(
            at::equal(draws.path_noise(samples, 3, 4), noise.narrow(0, samples[0], split.micro)));
      }
    }
  }
}

TEST(Draws, DifferBetweenPhasesIterationsAndSamples) {
  const auto latents = [](uint64_t seed, Phase phase, int64_t iteration) {
    Draws draws(SampleRng(seed), at::kFloat);
    draws.begin_iteration(iteration);
    return draws.latents(phase, {0, 1}, 8);
  };
  const at::Tensor z = latents(3, Phase::g_main, 5);
  EXPECT_FALSE(at::equal(z[0], z[1]));
  EXPECT_TRUE(at::equal(z, latents(3, Phase::g_main, 5)));
  EXPECT_FALSE(at::equal(z, latents(3, Phase::d_main, 5)));
  EXPECT_FALSE(at::equal(z, latents(3, Phase::g_main, 6)));
  EXPECT_FALSE(at::equal(z, latents(4, Phase::g_main, 5)));
}

/// As work that was recorded on a GPU does.
TEST(Draws, FollowTheNumberOnTheDevice) {
  Draws draws(SampleRng(3), at::kFloat);
  const Draws of_old = draws;  // shares that number, and nothing else
  draws.begin_iteration(5);
  EXPECT_TRUE(
      at::equal(of_old.latents(Phase::g_main, {0, 1}, 8), draws.latents(Phase::g_main, {0, 1}, 8)));
  EXPECT_TRUE(at::equal(of_old.layer_noise(Phase::g_main, {0}, 1, 4),
                        draws.layer_noise(Phase::g_main, {0}, 1, 4)));
}

TEST(Draws, RealImagesOfAnIterationDoNotDependOnTheRanks) {
  std::vector<int64_t> expected;
  InfiniteSampler sequence(SampleRng(3), 40);
  for (int64_t q = 0; q < 4 * kBatch; ++q) expected.push_back(sequence.next());
  for (const int64_t ranks : {1, 2, 4}) {
    for (int64_t rank = 0; rank < ranks; ++rank) {
      InfiniteSampler own(SampleRng(3), 40);
      const BatchPlan plan{kBatch, ranks, rank, 4};
      for (int64_t t = 0; t < 4; ++t) {
        const int64_t first = t * kBatch + rank * plan.local();
        own.seek(first);
        for (int64_t i = 0; i < plan.local(); ++i) {
          EXPECT_EQ(own.next(), expected[size_t(first + i)]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace galette
