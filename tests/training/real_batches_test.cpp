// SPDX-License-Identifier: Apache-2.0
#include "training/real_batches.h"

#include <array>

#include <gtest/gtest.h>

#include "io/dataset_packer.h"
#include "tests/io/image_files.h"
#include "tests/support/temp_dir.h"

namespace galette {
namespace {

using testing::TempDir;

constexpr int kCount = 10;

/// Two buffers in host memory. A copy overwrites its buffer at once, as a GPU may.
class HostFeed final : public GpuFeed {
 public:
  void send(const std::vector<at::Tensor>& batch) override {
    last_ = 1 - last_;
    std::vector<at::Tensor>& buffer = buffers_[last_];
    for (size_t i = 0; i < batch.size(); ++i) {
      if (buffer.size() == i) buffer.push_back(at::empty_like(batch[i]));
      buffer[i].copy_(batch[i]);
    }
  }
  std::vector<at::Tensor> receive() override { return buffers_[last_]; }

 private:
  std::array<std::vector<at::Tensor>, 2> buffers_;
  size_t last_ = 0;
};

class RealBatchesTest : public ::testing::Test {
 protected:
  RealBatchesTest() {
    std::map<std::string, io::testing::Bytes> files;
    for (int i = 0; i < kCount; ++i)
      files[fmt::format("{}.png", i)] = io::encode_png(io::testing::sample_image(8, 8, 1, i));
    io::testing::write_files(dir_.file("images"), files);
    io::PackOptions options;
    options.source = dir_.file("images");
    options.dest = dir_.file("set.h5");
    io::pack_dataset(options, MPI_COMM_SELF, [](int64_t, int64_t) {});
    data_.emplace(io::Dataset::open(options.dest));
  }
  static std::vector<int64_t> items_of(int64_t t) { return {t % kCount, (3 * t + 1) % kCount}; }
  void expect_batch(const RealBatch& batch, int64_t t) const {
    EXPECT_TRUE(at::equal(batch.images, data_->images(items_of(t)))) << t;
    EXPECT_EQ(batch.labels.sizes(), at::IntArrayRef({2, 0}));
  }

  TempDir dir_;
  std::optional<io::Dataset> data_;
};

TEST_F(RealBatchesTest, ComeInOrderToNetworksOnTheHost) {
  RealBatches reals = make_real_batches(*data_, items_of, 5, 2, at::kDouble);
  for (int64_t t = 5; t < 25; ++t) {
    const RealBatch batch = reals.next();
    expect_batch(batch, t);
    EXPECT_EQ(batch.labels.scalar_type(), at::kDouble);
  }
}

TEST_F(RealBatchesTest, StayWholeWhileTheNextOneTravels) {
  RealBatches reals(std::make_unique<io::Prefetcher>(*data_, items_of, 5, 2, 4),
                    std::make_unique<HostFeed>(), at::kFloat);
  for (int64_t t = 5; t < 25; ++t) expect_batch(reals.next(), t);
}

}  // namespace
}  // namespace galette
