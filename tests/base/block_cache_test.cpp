// SPDX-License-Identifier: Apache-2.0
#include "base/block_cache.h"

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

namespace galette {
namespace {

constexpr size_t kMb = 1 << 20;

TEST(BlockCache, ABlockComesBackForAboutItsSize) {
  BlockCache cache;
  void* const block = cache.take(8 * kMb);
  EXPECT_TRUE(cache.put_back(block));
  EXPECT_EQ(cache.waiting(), 8 * kMb);
  EXPECT_EQ(cache.take(8 * kMb - 5000), block);
  EXPECT_EQ(cache.in_use(), 8 * kMb);
  EXPECT_EQ(cache.waiting(), 0U);
}

TEST(BlockCache, TheBestFitIsTaken) {
  BlockCache cache;
  void* const large = cache.take(85 * kMb / 10);
  void* const small = cache.take(8 * kMb);
  cache.put_back(small);
  cache.put_back(large);
  EXPECT_EQ(cache.take(8 * kMb), small);
  EXPECT_EQ(cache.take(8 * kMb), large);
}

TEST(BlockCache, BlocksAreNeverMoreThanWhatWasInUseAtMost) {
  BlockCache cache;
  void* const first = cache.take(30 * kMb);
  void* const second = cache.take(20 * kMb);
  cache.put_back(first);
  cache.put_back(second);
  EXPECT_EQ(cache.waiting(), 50 * kMb);
  // Neither fits: 30 MB of the older one must go, the younger one may stay.
  void* const third = cache.take(10 * kMb);
  EXPECT_EQ(cache.in_use(), 10 * kMb);
  EXPECT_EQ(cache.waiting(), 20 * kMb);
  EXPECT_EQ(cache.take(20 * kMb), second);
  static_cast<void>(third);
}

TEST(BlockCache, KnowsItsBlocks) {
  BlockCache cache;
  int other = 0;
  EXPECT_FALSE(cache.put_back(&other));
  void* const block = cache.take(1);
  EXPECT_TRUE(cache.put_back(block));
  EXPECT_FALSE(cache.put_back(block));
}

TEST(BlockCache, TooMuchIsAnError) {
  BlockCache cache;
  EXPECT_THROW(cache.take(size_t{1} << 60), c10::Error);
  EXPECT_EQ(cache.in_use(), 0U);
}

// Each thread writes to its blocks; one that two had would be seen.
TEST(BlockCache, ThreadsHaveBlocksOfTheirOwn) {
  constexpr int kThreads = 4, kRounds = 500000;
  BlockCache cache;
  std::latch begin(kThreads);
  std::atomic<int> foreign = 0;
  const auto use = [&](int mark) {
    begin.arrive_and_wait();
    for (int round = 0; round < kRounds; ++round) {
      auto* const block = static_cast<volatile int*>(cache.take(2 * kMb));
      *block = mark;
      if (*block != mark) ++foreign;
      cache.put_back(const_cast<int*>(block));
    }
  };
  std::vector<std::thread> threads;
  for (int mark = 1; mark <= kThreads; ++mark) threads.emplace_back(use, mark);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(foreign, 0);
  EXPECT_EQ(cache.in_use(), 0U);
}

}  // namespace
}  // namespace galette
