// SPDX-License-Identifier: Apache-2.0
// Expected values are those of NumPy's RandomState.
#include "io/legacy_random.h"

#include <numeric>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/checksum.h"
#include "io/dataset_items.h"

namespace galette::io {
namespace {

using ::testing::ElementsAre;

template <typename Draw>
auto draws(size_t count, Draw draw) {
  std::vector<decltype(draw())> values(count);
  for (auto& value : values) value = draw();
  return values;
}

TEST(LegacyRandom, Bits) {
  LegacyRandom random(0);
  EXPECT_THAT(draws(4, [&] { return random.bits(); }),
              ElementsAre(2357136044u, 2546248239u, 3071714933u, 3626093760u));
}

TEST(LegacyRandom, BoundedIntegers) {
  LegacyRandom random(1);
  EXPECT_THAT(draws(8, [&] { return random.up_to(499); }),
              ElementsAre(37, 235, 396, 72, 255, 393, 203, 133));
  LegacyRandom untouched(1);
  EXPECT_EQ(untouched.up_to(0), 0u);
  EXPECT_EQ(untouched.up_to(499), 37u) << "a bound of 0 must draw nothing";
}

TEST(LegacyRandom, ShuffleAndWhatFollows) {
  LegacyRandom random(5);
  std::vector<int> items(10);
  std::iota(items.begin(), items.end(), 0);
  random.shuffle(std::span(items));
  EXPECT_THAT(items, ElementsAre(9, 5, 2, 4, 7, 1, 0, 8, 6, 3));
  EXPECT_THAT(draws(8, [&] { return random.up_to(4); }), ElementsAre(0, 0, 4, 1, 0, 3, 4, 3));
}

TEST(LegacyRandom, Normals) {
  LegacyRandom random(0);
  const std::vector<double> expected{1.764052345967664, 0.4001572083672233, 0.9787379841057392,
                                     2.240893199201458, 1.8675579901499675};
  // One unit in the last place for another library's logarithm.
  for (const double value : expected) EXPECT_DOUBLE_EQ(random.normal(), value);
}

std::vector<int64_t> raw_indices(const DatasetItems& items) {
  std::vector<int64_t> result;
  for (int64_t i = 0; i < items.size(); ++i) result.push_back(items.raw_index(i));
  return result;
}

TEST(DatasetItems, SubsetsEqualThePublishedOnes) {
  EXPECT_THAT(raw_indices({20, 7, 0, false}), ElementsAre(1, 6, 8, 10, 17, 18, 19));
  const DatasetItems mirrored(20, 7, 3, true);
  EXPECT_THAT(raw_indices(mirrored), ElementsAre(1, 2, 4, 6, 14, 16, 17, 1, 2, 4, 6, 14, 16, 17));
  EXPECT_FALSE(mirrored.is_mirrored(6));
  EXPECT_TRUE(mirrored.is_mirrored(7));
  const auto large = raw_indices({1000, 100, 1, true});
  EXPECT_EQ(crc32c(large.data(), large.size() * sizeof(int64_t)), 0x5375aeddu);
}

TEST(DatasetItems, WithoutALimitAllImagesInOrder) {
  EXPECT_THAT(raw_indices({3, std::nullopt, 0, false}), ElementsAre(0, 1, 2));
  EXPECT_THAT(raw_indices({3, 3, 7, false}), ElementsAre(0, 1, 2));
  EXPECT_THAT(raw_indices({2, 5, 7, true}), ElementsAre(0, 1, 0, 1));
  EXPECT_ANY_THROW(DatasetItems(3, std::nullopt, 0, true).raw_index(6));
  EXPECT_ANY_THROW(DatasetItems(3, std::nullopt, 0, true).raw_index(-1));
}

}  // namespace
}  // namespace galette::io
