// SPDX-License-Identifier: Apache-2.0
// Every branch of conv2d_resample against upsample, convolve, downsample, and its derivatives.
#include "kernels/conv2d_resample.h"

#include <gtest/gtest.h>

#include "kernels/fir_filter.h"
#include "tests/kernels/naive_resample.h"
#include "tests/support/gradcheck.h"

namespace galette {
namespace {

using testing::normal;
using testing::Tensors;

struct Setting {
  int64_t kernel_y, kernel_x;
  Conv2dResampleOptions options;
};

/// All branches, with even and uneven padding, groups and both orientations.
std::vector<Setting> settings() {
  std::vector<Setting> all;
  const std::vector<std::array<int64_t, 2>> kernels{{1, 1}, {3, 3}, {3, 5}, {2, 2}};
  const std::vector<std::array<int64_t, 2>> factors{{1, 1}, {2, 1}, {1, 2}, {2, 2}, {3, 1}};
  const std::vector<Padding2d> paddings{{1, 1, 1, 1}, {2, 2, 1, 1}, {3, 0, -1, 4}};
  for (const auto& k : kernels)
    for (const auto& f : factors)
      for (const Padding2d& p : paddings)
        for (const int64_t groups : {1, 2})
          for (const bool flip_weight : {true, false})
            all.push_back({k[0], k[1], {f[0], f[1], p, groups, flip_weight, !flip_weight}});
  return all;
}

at::Tensor weight_for(const Setting& s, int64_t in, int64_t out) {
  return normal({out, in / s.options.groups, s.kernel_y, s.kernel_x}, 21);
}

TEST(Conv2dResample, EveryBranchEqualsTheDefinition) {
  const testing::OneThread one_thread;
  const at::Tensor x = normal({2, 4, 9, 8}, 20);
  const Tensors filters{at::Tensor(), setup_filter({1, 3, 3, 1}), normal({4}, 22),
                        normal({3, 5}, 23)};
  for (const Setting& s : settings()) {
    const at::Tensor w = weight_for(s, 4, 6);
    for (const at::Tensor& f : filters) {
      const at::Tensor expected = testing::naive_conv2d_resample(x, w, f, s.options);
      const at::Tensor y = conv2d_resample(x, w, f, s.options);
      ASSERT_EQ(y.sizes(), expected.sizes());
      // Sums of up to a few thousand products in another order.
      ASSERT_LE((y - expected).abs().max().item<double>(),
                1e-12 * expected.abs().max().item<double>());
    }
  }
}

TEST(Conv2dResample, FirstAndSecondDerivativesEqualDifferences) {
  const at::Tensor f = normal({4}, 24) * 0.5;
  for (const Conv2dResampleOptions& options :
       std::vector<Conv2dResampleOptions>{{.padding = {1, 1, 1, 1}},
                                          {.up = 2, .padding = {1, 1, 1, 1}, .flip_weight = false},
                                          {.down = 2, .padding = {1, 1, 1, 1}, .groups = 2},
                                          {.up = 2, .down = 2, .padding = {1, 1, 1, 1}}}) {
    const testing::Operator op = [&](const Tensors& in) {
      return conv2d_resample(in[0], in[1], f, options);
    };
    const at::Tensor w = normal({2, 2 / options.groups, 3, 3}, 25);
    // Bilinear in x and w; results reach a hundred, and differences lose as many digits.
    testing::expect_gradients(op, {normal({1, 2, 4, 3}, 26), w}, 1e-6);
    testing::expect_second_gradients(op, {normal({1, 2, 4, 3}, 26), w}, 1e-5);
  }
}

// The layers of the networks: values and gradients are those of images in the ordinary order, and
// results lie as the images do.
TEST(Conv2dResample, ChannelsLastImagesStaySo) {
  const at::Tensor filter = setup_filter({1, 3, 3, 1}), x = normal({2, 4, 9, 8}, 20);
  for (const int64_t k : {1, 3}) {
    for (const auto& [up, down] : {std::pair{1, 1}, {2, 1}, {1, 2}}) {
      const Conv2dResampleOptions options{
          .up = up, .down = down, .padding = {k / 2, k / 2, k / 2, k / 2}, .flip_weight = up == 1};
      const at::Tensor w = normal({6, 4, k, k}, 21);
      const auto results = [&](at::MemoryFormat format) {
        const at::Tensor image = x.contiguous(format).requires_grad_();
        const at::Tensor weight = w.contiguous(format).requires_grad_();
        const at::Tensor y = conv2d_resample(image, weight, filter, options);
        EXPECT_TRUE(y.is_contiguous(format)) << k << up << down;
        Tensors all = torch::autograd::grad({y.square().sum()}, {image, weight}, {}, true, true);
        const at::Tensor penalty = all[0].square().sum();
        const Tensors second = torch::autograd::grad({penalty}, {image, weight});
        all.insert(all.end(), second.begin(), second.end());
        all.push_back(y);
        return all;
      };
      const Tensors rows = results(at::MemoryFormat::Contiguous);
      const Tensors pixels = results(at::MemoryFormat::ChannelsLast);
      for (size_t i = 0; i < rows.size(); ++i) {
        const double scale = rows[i].abs().max().item<double>();
        EXPECT_LE((pixels[i] - rows[i]).abs().max().item<double>(), 1e-12 * scale) << i;
      }
    }
  }
}

TEST(Conv2dResample, KeepsTheSizesOfTheNetworks) {
  const at::Tensor x = at::ones({1, 2, 8, 8}), f = setup_filter({1, 3, 3, 1});
  const auto size = [&](int64_t k, int64_t up, int64_t down) {
    const int64_t p = k / 2;
    return conv2d_resample(x, at::ones({3, 2, k, k}), f,
                           {.up = up, .down = down, .padding = {p, p, p, p}})
        .size(3);
  };
  EXPECT_EQ(size(3, 1, 1), 8);
  EXPECT_EQ(size(3, 2, 1), 16);
  EXPECT_EQ(size(3, 1, 2), 4);
  EXPECT_EQ(size(1, 2, 1), 16);
  EXPECT_EQ(size(1, 1, 2), 4);
}

TEST(Conv2dResample, RefusesWhatDoesNotFit) {
  const at::Tensor x = at::ones({1, 4, 8, 8}), w = at::ones({6, 4, 3, 3});
  EXPECT_THROW(conv2d_resample(x, at::ones({6, 3, 3, 3})), c10::Error);
  EXPECT_THROW(conv2d_resample(x, w, {}, {.groups = 2}), c10::Error);
  EXPECT_THROW(conv2d_resample(x, at::ones({5, 2, 3, 3}), {}, {.groups = 2}), c10::Error);
  EXPECT_THROW(conv2d_resample(x, w.to(at::kDouble)), c10::Error);
  EXPECT_THROW(conv2d_resample(x[0], w), c10::Error);
  EXPECT_THROW(conv2d_resample(x, w[0]), c10::Error);
  EXPECT_THROW(conv2d_resample(x, w, {}, {.up = 0}), c10::Error);
}

}  // namespace
}  // namespace galette
