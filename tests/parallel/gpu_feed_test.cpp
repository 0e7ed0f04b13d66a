// SPDX-License-Identifier: Apache-2.0
#include "parallel/gpu_feed.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include "parallel/gpu.h"

namespace galette {
namespace {

at::Tensor batch_of(int64_t number) {
  return at::full({int64_t{1} << 22}, number, at::kByte).pin_memory();
}

TEST(GpuFeed, BatchesStayWholeWhileTheNextOneTravels) {
  if (at::getNumGPUs() == 0) GTEST_SKIP() << "nothing is copied to a GPU: none is visible";
  use_gpu(0);
  const at::Device device(at::kCUDA, 0);
  const auto feed = make_gpu_feed(device);
  // Work that takes longer than a copy, so that one would overtake the other.
  const at::Tensor large = at::ones({4096, 4096}, device);
  at::Tensor product = at::empty_like(large);
  std::vector<at::Tensor> sums;
  feed->send({batch_of(0)});
  for (int64_t number = 0; number < 20; ++number) {
    const at::Tensor present = feed->receive()[0];
    feed->send({batch_of(number + 1)});
    at::mm_out(product, large, large);
    sums.push_back(present.to(at::kLong).sum());
  }
  for (int64_t number = 0; number < 20; ++number) {
    EXPECT_EQ(sums[static_cast<size_t>(number)].item<int64_t>(), number << 22) << number;
  }
}

TEST(GpuMemory, PeaksAreThoseSinceTheLastLook) {
  EXPECT_EQ(take_peak_gpu_memory(at::kCPU).allocated, 0);
  if (at::getNumGPUs() == 0) GTEST_SKIP() << "memory of a GPU is not looked at: none is visible";
  use_gpu(0);
  const at::Device device(at::kCUDA, 0);
  at::empty({100 << 20}, at::TensorOptions(device).dtype(at::kByte));
  const GpuMemory large = take_peak_gpu_memory(device);
  EXPECT_GE(large.allocated, 100 << 20);
  EXPECT_GE(large.reserved, large.allocated);
  EXPECT_LT(take_peak_gpu_memory(device).allocated, 100 << 20);
}

}  // namespace
}  // namespace galette
