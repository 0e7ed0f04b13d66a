// SPDX-License-Identifier: Apache-2.0
// What a GPU computes in float32 against double precision, by the shared formula; and on a GPU,
// where there is one.
#include "kernels/philox_normal.h"

#include <cmath>

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include "kernels/philox_normal_math.h"
#include "tests/support/refusal.h"

namespace galette {
namespace {

const PhiloxStream kStream{7, 0x01030002, 0xa4093822, 0x299f31d0};

TEST(PhiloxNormal, Float32FollowsDoublePrecision) {
  double sum = 0, squares = 0;
  constexpr int kBlocks = 20000;
  for (uint32_t b = 0; b < kBlocks; ++b) {
    float single[4];
    double exact[4];
    normal_block(kStream, 5, b, single);
    normal_block(kStream, 5, b, exact);
    for (int i = 0; i < 4; ++i) {
      ASSERT_NEAR(single[i], exact[i], 4e-6) << "block " << b;
      sum += exact[i];
      squares += exact[i] * exact[i];
    }
  }
  // Five standard deviations of a mean and of a variance.
  EXPECT_NEAR(sum / (4 * kBlocks), 0, 5 / std::sqrt(4.0 * kBlocks));
  EXPECT_NEAR(squares / (4 * kBlocks), 1, 5 * std::sqrt(2 / (4.0 * kBlocks)));
}

TEST(PhiloxNormal, TheEndsOfTheRangeAreFinite) {
  for (const uint32_t x : {0u, 1u, 0xfffffffeu, 0xffffffffu}) {
    float a = 0, b = 0;
    normal_pair<float>(x, 0xffffffffu, a, b);
    EXPECT_TRUE(std::isfinite(a) && std::isfinite(b)) << x;
  }
  float a = 0, b = 0;
  normal_pair<float>(0, 0, a, b);
  EXPECT_NEAR(a, std::sqrt(64 * std::log(2.0)), 1e-5);  // the largest there is
}

TEST(PhiloxNormal, RefusesTensorsOfTheHost) {
  testing::expect_refused(
      [] {
        fill_normal_on_gpu(at::empty({2, 3}), {0, 1}, kStream);
      },
      "give a contiguous CUDA tensor");
}

TEST(PhiloxNormal, AGpuFillsRowsAsTheHostDoes) {
  if (at::getNumGPUs() == 0) GTEST_SKIP() << "fills on GPUs are not tested: no GPU is visible";
  std::vector<uint32_t> rows(kRowsOfALaunch + 3);  // more than one launch
  for (size_t k = 0; k < rows.size(); ++k) rows[k] = static_cast<uint32_t>(11 * k + 1);
  const at::Tensor values = at::full({static_cast<int64_t>(rows.size()), 7}, 99.0, at::kCUDA);
  fill_normal_on_gpu(values, rows, kStream);
  const at::Tensor host = values.cpu();
  for (size_t k = 0; k < rows.size(); ++k) {
    for (int64_t i = 0; i < 7; ++i) {
      double quad[4];
      normal_block(kStream, rows[k], static_cast<uint32_t>(i / 4), quad);
      EXPECT_NEAR(host[static_cast<int64_t>(k)][i].item<double>(), quad[i % 4], 1e-5);
    }
  }
}

}  // namespace
}  // namespace galette
