// SPDX-License-Identifier: Apache-2.0
// affine_resample against the chain that defines it, made of padding, upfirdn2d and LibTorch's grid
// sampler; its derivatives; independence of threads and tiles; wrong input.
#include "kernels/affine_resample.h"

#include <cmath>
#include <numbers>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "kernels/fir_filter.h"
#include "kernels/upfirdn2d.h"
#include "tests/support/gradcheck.h"
#include "tests/support/refusal.h"

namespace galette {
namespace {

using testing::expect_refused;
using testing::normal;
using testing::Tensors;

at::Tensor sym6() {
  return setup_filter({0.015404109327027373, 0.0034907120842174702, -0.11799011114819057,
                       -0.048311742585633, 0.4910559419267466, 0.787641141030194,
                       0.3379294217276218, -0.07263752278646252, -0.021060292512300564,
                       0.04472490177066578, 0.0017677118642428036, -0.007800708325034148});
}

at::Tensor matrix(double xx, double xy, double x0, double yx, double yy, double y0) {
  return at::tensor({xx, xy, x0, yx, yy, y0, 0.0, 0.0, 1.0}, at::kDouble).view({3, 3});
}
at::Tensor translation(double x, double y) {
  return matrix(1, 0, x, 0, 1, y);
}
at::Tensor scaling(double x, double y) {
  return matrix(x, 0, 0, 0, y, 0);
}
at::Tensor rotation(double angle) {
  return matrix(std::cos(angle), std::sin(angle), 0, -std::sin(angle), std::cos(angle), 0);
}

/// The definition for one image [1, C, H, W].
at::Tensor naive_resample(const at::Tensor& x, at::Tensor m, const at::Tensor& margins) {
  const int64_t h = x.size(2), w = x.size(3);
  const auto side = margins.accessor<int64_t, 1>();
  const auto reflected = [](int64_t size, int64_t before, int64_t after) {
    const at::Tensor i = at::arange(-before, size + after, at::kLong).abs();
    return size - 1 - (size - 1 - i).abs();
  };
  const at::Tensor padded = x.index_select(2, reflected(h, side[2], side[3]))
                                .index_select(3, reflected(w, side[0], side[1]));
  m = translation(double(side[0] - side[1]) / 2, double(side[2] - side[3]) / 2).mm(m);
  const at::Tensor large = upsample2d(padded, sym6());
  m = scaling(2, 2).mm(m).mm(scaling(0.5, 0.5));
  m = translation(-0.5, -0.5).mm(m).mm(translation(0.5, 0.5));
  const int64_t room = 3, ch = 2 * (h + 2 * room), cw = 2 * (w + 2 * room);
  m = scaling(2 / double(large.size(3)), 2 / double(large.size(2))).mm(m);
  m = m.mm(scaling(double(cw) / 2, double(ch) / 2));
  const at::Tensor grid =
      at::affine_grid_generator(m.narrow(0, 0, 2).unsqueeze(0), {1, x.size(1), ch, cw}, false);
  const at::Tensor canvas = at::grid_sampler_2d(large, grid, 0, 0, false);
  const int64_t crop = -2 * room;
  return downsample2d(canvas, sym6(), {2, 2}, {crop, crop, crop, crop}, true);
}

at::Tensor naive_batch(const at::Tensor& x, const at::Tensor& inverse, const at::Tensor& margins) {
  Tensors images;
  for (int64_t n = 0; n < x.size(0); ++n)
    images.push_back(naive_resample(x.narrow(0, n, 1), inverse[n], margins[n]));
  return at::cat(images);
}

/// Identity, whole and broken shifts, flips, turns, zooms in and out, shear, far away, and all of
/// it; also shifts by which the image leaves the canvas in part and entirely.
at::Tensor transformations() {
  const double pi = std::numbers::pi;
  return at::stack(
      {at::eye(3, at::kDouble), translation(3, -2), translation(0.4, 1.7), scaling(-1, 1),
       rotation(pi / 2), rotation(pi), rotation(0.7), scaling(0.5, 0.5), scaling(2.3, 1.9),
       scaling(0.3, 3.1), matrix(1, 0.6, 0, 0, 1, 0),
       rotation(2.1).mm(scaling(1.3, 0.8)).mm(translation(4.2, -3.3)), translation(40, 0),
       translation(-9, 14), translation(1e6, 1e6), scaling(12, 12)});
}

at::Tensor resample(const at::Tensor& x, const at::Tensor& inverse,
                    const at::Tensor& margins = {}) {
  return affine_resample(x, affine_paths(inverse, x.size(2), x.size(3), margins).to(x.device()));
}

at::Tensor repeat_to(const at::Tensor& x, int64_t n) {
  return x.repeat({n, 1, 1, 1});
}

TEST(AffineResample, EqualsTheDefinition) {
  const at::Tensor inverse = transformations();
  // One tile, several in both directions, and an image smaller than the filter.
  for (const auto& shape : {std::vector<int64_t>{1, 2, 20, 23}, {1, 1, 70, 131}, {1, 1, 4, 5}}) {
    const at::Tensor x = repeat_to(normal(shape, 1), inverse.size(0));
    const at::Tensor margins = affine_margins(inverse, shape[2], shape[3]);
    const at::Tensor expected = naive_batch(x, inverse, margins);
    const at::Tensor y = resample(x, inverse);
    const at::Tensor single = resample(x.to(at::kFloat), inverse);
    ASSERT_EQ(y.sizes(), expected.sizes());
    for (int64_t n = 0; n < inverse.size(0); ++n) {
      // Places of up to 1e3 are exact to 1e-13.
      EXPECT_LE((y[n] - expected[n]).abs().max().item<double>(), 1e-11) << "image " << n;
      // Places inside a tile are below 1e3 and exact to 1e-4 in float32; most are far better.
      EXPECT_LE((single[n] - expected[n]).abs().max().item<double>(), 1e-4) << "image " << n;
    }
  }
}

TEST(AffineResample, TakesAnyMargins) {
  const at::Tensor inverse = transformations();
  const at::Tensor x = repeat_to(normal({1, 1, 20, 23}, 2), inverse.size(0));
  for (const std::array<int64_t, 4>& sides :
       {std::array<int64_t, 4>{0, 0, 0, 0}, {3, 0, 1, 7}, {22, 22, 19, 19}}) {
    const at::Tensor margins = at::tensor(at::ArrayRef<int64_t>(sides), at::kLong)
                                   .expand({inverse.size(0), 4})
                                   .contiguous();
    const at::Tensor y = resample(x, inverse, margins);
    EXPECT_TRUE(at::allclose(y, naive_batch(x, inverse, margins), 0, 1e-11));
  }
}

TEST(AffineResample, TheIdentityIsNearlyOne) {
  // A smooth image: the filters pass it, but the chain is run.
  const at::Tensor wave = at::sin(at::arange(64, at::kDouble) * 0.2);
  const at::Tensor x = wave.unsqueeze(1).mm(wave.unsqueeze(0)).view({1, 1, 64, 64});
  const at::Tensor eye = at::eye(3, at::kDouble).unsqueeze(0);
  const at::Tensor inner = (resample(x, eye) - x).slice(2, 8, 56).slice(3, 8, 56);
  EXPECT_LT(inner.abs().max().item<double>(), 5e-3);
  EXPECT_GT(inner.abs().max().item<double>(), 1e-9);
}

TEST(AffineResample, MarginsFollowTheCorners) {
  const at::Tensor inverse =
      at::stack({at::eye(3, at::kDouble), translation(4, 0), scaling(2, 1), scaling(0.5, 0.5)});
  // Identity: room for both filters. Zoom in by two: half of the image is left over as room.
  const at::Tensor expected =
      at::tensor({6, 6, 6, 6, 2, 10, 6, 6, 16, 16, 6, 6, 1, 1, 1, 1}, at::kLong);
  EXPECT_TRUE(at::equal(affine_margins(inverse, 21, 21), expected.view({4, 4})));
  EXPECT_EQ(affine_margins(inverse, 4, 4).max().item<int64_t>(), 3);
}

TEST(AffineResample, FirstAndSecondDerivativesEqualDifferences) {
  const at::Tensor inverse = transformations();
  for (const int64_t n : {0, 2, 6, 8, 11, 13, 15}) {
    const testing::Operator op = [&](const Tensors& in) {
      return resample(in[0], inverse.narrow(0, n, 1).narrow(1, 0, 2));
    };
    const at::Tensor x = normal({1, 1, 7, 6}, 3);
    testing::expect_gradients(op, {x});
    testing::expect_second_gradients(op, {x});
  }
}

TEST(AffineResample, TheAdjointOfManyTilesIsThatOfTheDefinition) {
  const at::Tensor inverse = transformations();
  const at::Tensor margins = affine_margins(inverse, 70, 131);
  const at::Tensor x = normal({inverse.size(0), 1, 70, 131}, 4).requires_grad_();
  const at::Tensor dy = normal(x.sizes(), 5);
  const auto gradient = [&](const at::Tensor& y) {
    return torch::autograd::grad({y}, {x}, {dy})[0];
  };
  const at::Tensor expected = gradient(naive_batch(x, inverse, margins));
  EXPECT_TRUE(at::allclose(gradient(resample(x, inverse)), expected, 0, 1e-11));
}

TEST(AffineResample, ResultsDoNotDependOnTheThreads) {
  const int threads = at::get_num_threads();
  const at::Tensor inverse = transformations();
  const at::Tensor x = normal({inverse.size(0), 3, 40, 40}, 6).to(at::kFloat).requires_grad_();
  const auto both = [&] {
    const at::Tensor y = resample(x, inverse);
    return at::stack({y, torch::autograd::grad({y}, {x}, {x.detach()})[0]});
  };
  at::set_num_threads(1);
  const at::Tensor one = both();
  at::set_num_threads(3);
  EXPECT_TRUE(at::equal(one, both()));
  at::set_num_threads(threads);
}

TEST(AffineResample, TakesStridesAndEmptyBatches) {
  const at::Tensor inverse = transformations().narrow(0, 5, 2);
  const at::Tensor x = normal({9, 8, 3, 2}, 7).permute({3, 2, 0, 1});
  EXPECT_TRUE(at::equal(resample(x, inverse), resample(x.contiguous(), inverse)));
  EXPECT_EQ(resample(x.narrow(0, 0, 0), inverse.narrow(0, 0, 0)).size(0), 0);
}

TEST(AffineResampleErrors, NameWhatIsWrong) {
  const at::Tensor x = at::ones({1, 2, 4, 4}), eye = at::eye(3, at::kDouble).unsqueeze(0);
  const auto margins = [](int64_t left) {
    return at::tensor({left, int64_t{0}, int64_t{0}, int64_t{0}}, at::kLong).view({1, 4});
  };
  const at::Tensor paths = affine_paths(eye, 4, 4);
  expect_refused([&] { affine_resample(x[0], paths); }, "x has shape [2, 4, 4]");
  expect_refused([&] { affine_resample(x.to(at::kInt), paths); }, "x is of type Int");
  expect_refused([&] { affine_resample(x, {}); }, "paths must be affine_paths() on cpu");
  expect_refused([&] { affine_resample(x, eye[0]); }, "paths must be affine_paths() on cpu");
  expect_refused([&] { affine_resample(x, paths.repeat({2, 1})); }, "2 paths for 1 images");
  expect_refused([&] { affine_paths(eye.to(at::kFloat), 4, 4); }, "inverse must be float64");
  expect_refused([&] { affine_paths(eye[0], 4, 4); }, "inverse must be float64");
  expect_refused([&] { affine_paths(eye * 0, 4, 4); }, "image 0 is singular");
  expect_refused([&] { affine_paths(eye * NAN, 4, 4); }, "image 0 is singular or not finite");
  expect_refused([&] { affine_paths(eye, 4, 4, margins(4)); }, "margins of image 0");
  expect_refused([&] { affine_paths(eye, 4, 4, margins(-1)); }, "margins of image 0");
  expect_refused([&] { affine_paths(eye, 4, 4, margins(0)[0]); }, "margins must be int64 [N, 4]");
}

TEST(AffineResampleCuda, EqualsTheCpu) {
  if (!at::hasCUDA())
    GTEST_SKIP() << "NO GPU: the CUDA body of affine_resample is not tested on this machine";
  const at::Tensor inverse = transformations();
  const at::Tensor x = normal({inverse.size(0), 2, 20, 23}, 8).requires_grad_();
  const at::Tensor y = resample(x, inverse), z = resample(x.cuda(), inverse);
  EXPECT_TRUE(at::allclose(z.cpu(), y, 0, 1e-11));
  const at::Tensor dy = normal(x.sizes(), 9);
  EXPECT_TRUE(at::allclose(torch::autograd::grad({z}, {x}, {dy.cuda()})[0],
                           torch::autograd::grad({y}, {x}, {dy})[0], 0, 1e-11));
}

}  // namespace
}  // namespace galette
