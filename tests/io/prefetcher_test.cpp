// SPDX-License-Identifier: Apache-2.0
#include "io/prefetcher.h"

#include <atomic>
#include <chrono>

#include "io/dataset_packer.h"
#include "tests/io/image_files.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

using namespace testing;
using galette::testing::TempDir;

constexpr int kCount = 10;

class PrefetcherTest : public ::testing::Test {
 protected:
  PrefetcherTest() {
    std::map<std::string, Bytes> files;
    for (int i = 0; i < kCount; ++i)
      files[fmt::format("{}.png", i)] = encode_png(sample_image(8, 8, 1, i));
    write_files(dir_.file("images"), files);
    PackOptions options;
    options.source = dir_.file("images");
    options.dest = dir_.file("set.h5");
    pack_dataset(options, MPI_COMM_SELF, [](int64_t, int64_t) {});
    data_.emplace(Dataset::open(options.dest));
  }
  /// Two or three items, different ones for every iteration.
  static std::vector<int64_t> items_of(int64_t t) {
    std::vector<int64_t> items{t % kCount, (3 * t + 1) % kCount};
    if (t % 2 == 1) items.push_back((7 * t + 2) % kCount);
    return items;
  }

  TempDir dir_;
  std::optional<Dataset> data_;
};

TEST_F(PrefetcherTest, BatchesComeInOrder) {
  for (const int workers : {1, 2, 5}) {
    for (const int ahead : {1, 4}) {
      Prefetcher prefetcher(*data_, items_of, 7, workers, ahead);
      for (int64_t t = 7; t < 107; ++t) {
        const Batch batch = prefetcher.next();
        EXPECT_TRUE(at::equal(batch.images, data_->images(items_of(t)))) << t;
        EXPECT_EQ(batch.labels.size(0), batch.images.size(0));
      }
    }
  }
}

TEST_F(PrefetcherTest, ItemsAreAskedForOnceAndInOrder) {
  int64_t expected = 0;
  bool in_order = true;
  Prefetcher prefetcher(
      *data_,
      [&](int64_t t) {
        in_order = in_order && t == expected;
        ++expected;
        return items_of(t);
      },
      0, 4, 8);
  for (int t = 0; t < 200; ++t) prefetcher.next();
  EXPECT_TRUE(in_order);
}

TEST_F(PrefetcherTest, ReadsAheadButNotBeyondTheBound) {
  std::atomic<int64_t> asked = 0;
  Prefetcher prefetcher(
      *data_,
      [&](int64_t t) {
        asked = t + 1;
        return items_of(t);
      },
      0, 2, 3);
  const auto settle = [&](int64_t count) {
    for (int i = 0; i < 2000 && asked < count; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // time to overshoot
    return asked.load();
  };
  EXPECT_EQ(settle(3), 3);
  prefetcher.next();
  EXPECT_EQ(settle(4), 4);
}

TEST_F(PrefetcherTest, ErrorsReachTheOneWhoAsks) {
  Prefetcher prefetcher(
      *data_,
      [](int64_t t) {
        if (t == 3) throw InputError("no items today");
        return t == 5 ? std::vector<int64_t>{kCount} : items_of(t);
      },
      0, 3, 4);
  for (int t = 0; t < 3; ++t) EXPECT_NO_THROW(prefetcher.next());
  EXPECT_THROW(prefetcher.next(), InputError);
  EXPECT_NO_THROW(prefetcher.next());
  EXPECT_THROW(prefetcher.next(), c10::Error) << "an item that the dataset lacks";
  EXPECT_NO_THROW(prefetcher.next());
}

TEST_F(PrefetcherTest, EndsAtAnyTime) {
  for (int taken = 0; taken < 20; ++taken) {
    Prefetcher prefetcher(*data_, items_of, 0, 3, 6);
    for (int t = 0; t < taken; ++t) prefetcher.next();
  }
}

}  // namespace
}  // namespace galette::io
