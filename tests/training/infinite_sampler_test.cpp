// SPDX-License-Identifier: Apache-2.0
#include "training/infinite_sampler.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/checksum.h"
#include "io/legacy_random.h"

namespace galette {
namespace {

using ::testing::ElementsAre;

std::vector<int64_t> take(InfiniteSampler& sampler, int64_t count) {
  std::vector<int64_t> items;
  for (int64_t i = 0; i < count; ++i) items.push_back(sampler.next());
  return items;
}

/// The published order of rank `rank` of `replicas`, drawn from the legacy generator.
std::vector<int64_t> legacy_order(int64_t size, uint32_t seed, int64_t replicas, int64_t rank,
                                  size_t count, double window = 0.5) {
  io::LegacyRandom random(seed);
  const auto below = [&](uint64_t n) { return random.up_to(static_cast<uint32_t>(n - 1)); };
  WindowOrder order(size, window);
  order.shuffle(below);
  std::vector<int64_t> items;
  while (items.size() < count) {
    const bool mine = order.position() % replicas == rank;
    const int64_t item = order.next(below);
    if (mine) items.push_back(item);
  }
  return items;
}

uint32_t crc(const std::vector<int64_t>& items) {
  return io::crc32c(items.data(), items.size() * sizeof(int64_t));
}

// Checksums of the first 3000 items (60 in the special cases) of the published implementation.
TEST(WindowOrder, EqualsThePublishedOrder) {
  EXPECT_EQ(crc(legacy_order(1000, 0, 1, 0, 3000)), 0x942a26a7u);
  EXPECT_EQ(crc(legacy_order(1000, 1, 2, 1, 3000)), 0x50ebecb8u);
  EXPECT_EQ(crc(legacy_order(1000, 1, 4, 3, 3000)), 0x2543086bu);
  EXPECT_EQ(crc(legacy_order(10, 0, 4, 2, 3000)), 0x8af7d0adu);
  EXPECT_EQ(crc(legacy_order(10, 5, 1, 0, 60, 0.0)), 0xa3fa908eu);
  EXPECT_EQ(crc(legacy_order(1, 5, 1, 0, 60)), 0xff9c9642u);
  EXPECT_EQ(crc(legacy_order(3, 5, 1, 0, 60)), 0x4171a6a9u);
}

// Computed apart from this program, from the streams that infinite_sampler.cpp names. The order is
// part of what a continued run relies on: it must not change with the program.
TEST(InfiniteSampler, IsWhatItAlwaysWas) {
  InfiniteSampler sampler(SampleRng(0), 10);
  EXPECT_THAT(take(sampler, 12), ElementsAre(4, 5, 3, 0, 6, 7, 4, 1, 8, 9, 0, 6));
}

TEST(InfiniteSampler, PositionsAreReachedInAnyWay) {
  constexpr int64_t kSteps = 5000;
  InfiniteSampler straight(SampleRng(3), 101);
  const std::vector<int64_t> all = take(straight, kSteps);
  InfiniteSampler jumping(SampleRng(3), 101);
  for (const int64_t q : {int64_t{4000}, int64_t{17}, int64_t{17}, int64_t{0}, int64_t{4999}}) {
    jumping.seek(q);
    EXPECT_EQ(jumping.position(), q);
    EXPECT_EQ(jumping.next(), all[size_t(q)]) << q;
  }
}

// Rank r of R takes positions [r B/R, (r+1) B/R) of each batch: together the batches are the same.
TEST(InfiniteSampler, BatchesDoNotDependOnTheRanks) {
  constexpr int64_t kBatch = 8, kIterations = 40;
  InfiniteSampler whole(SampleRng(1), 37);
  const std::vector<int64_t> expected = take(whole, kBatch * kIterations);
  for (const int64_t ranks : {1, 2, 4}) {
    std::vector<int64_t> items(size_t(kBatch * kIterations));
    for (int64_t rank = 0; rank < ranks; ++rank) {
      InfiniteSampler sampler(SampleRng(1), 37);
      for (int64_t t = 0; t < kIterations; ++t) {
        const int64_t share = kBatch / ranks, first = t * kBatch + rank * share;
        sampler.seek(first);
        for (int64_t g = 0; g < share; ++g) items[size_t(first + g)] = sampler.next();
      }
    }
    EXPECT_EQ(items, expected) << ranks << " ranks";
  }
}

/// The smallest number of steps between two showings of one item.
int64_t smallest_gap(const std::vector<int64_t>& items, int64_t size) {
  std::vector<int64_t> last(size_t(size), -1);
  auto smallest = static_cast<int64_t>(items.size());
  for (int64_t q = 0; q < static_cast<int64_t>(items.size()); ++q) {
    int64_t& before = last[size_t(items[size_t(q)])];
    if (before >= 0) smallest = std::min(smallest, q - before);
    before = q;
  }
  return smallest;
}

TEST(InfiniteSampler, RepeatsAreFarApart) {
  for (const int64_t size : {1, 2, 3, 4, 5, 10, 101, 1000}) {
    InfiniteSampler sampler(SampleRng(7), size);
    const int64_t window = std::llrint(double(size) / 2);
    const int64_t bound = window < 2 ? size : size - window + 1;
    EXPECT_GE(smallest_gap(take(sampler, 50 * size + 50), size), bound) << size;
  }
}

// Over 100 passes items come about 100 times. Among 60 seeds the standard deviation of the counts
// was 5.0 on average and 5.5 at most; items drawn independently would give 10.
TEST(InfiniteSampler, ItemsComeEquallyOften) {
  constexpr int64_t kSize = 200, kPasses = 100;
  InfiniteSampler sampler(SampleRng(2), kSize);
  std::vector<int64_t> counts(size_t(kSize), 0);
  for (const int64_t item : take(sampler, kSize * kPasses)) ++counts[size_t(item)];
  double squares = 0;
  for (const int64_t count : counts) squares += double((count - kPasses) * (count - kPasses));
  EXPECT_LT(std::sqrt(squares / kSize), 6.5);
}

TEST(InfiniteSampler, SeedsAndSizes) {
  InfiniteSampler a(SampleRng(1), 50), b(SampleRng(2), 50), one(SampleRng(1), 1);
  EXPECT_NE(take(a, 50), take(b, 50));
  EXPECT_THAT(take(one, 3), ElementsAre(0, 0, 0));
  EXPECT_ANY_THROW(InfiniteSampler(SampleRng(1), 0));
}

}  // namespace
}  // namespace galette
