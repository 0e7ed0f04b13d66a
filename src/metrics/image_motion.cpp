// SPDX-License-Identifier: Apache-2.0
#include "metrics/image_motion.h"

#include <algorithm>
#include <cmath>

#include "kernels/upfirdn2d.h"

namespace galette {
namespace {

constexpr double kLobes = 3;                  // of the Lanczos windows
constexpr int64_t kReach = 6;                 // pixels from the centre of a band-limit filter
constexpr int64_t kPeriod = 64;               // pixels that the sums of its convolution run over
constexpr int64_t kOversampling = 4;          // of rotate()
constexpr int64_t kFirstTap = -2, kTaps = 6;  // of a fractional shift
constexpr int64_t kSmallest = 16;             // side of images that can be turned

/// One axis of a shift: images are multiplied with `matrix` [S, S] from both sides.
struct AxisShift {
  at::Tensor matrix, mask;
};

/// Taps at `first`, first + 1, ...; the results [kept) stay and [exact) are right.
AxisShift axis_shift(int64_t size, int64_t first, const std::vector<double>& taps,
                     const std::array<int64_t, 2>& kept, const std::array<int64_t, 2>& exact) {
  AxisShift shift{at::zeros({size, size}, at::kDouble), at::zeros({size}, at::kDouble)};
  auto matrix = shift.matrix.accessor<double, 2>();
  for (int64_t v = std::max<int64_t>(kept[0], 0); v < std::min(kept[1], size); ++v) {
    for (size_t k = 0; k < taps.size(); ++k) {
      const int64_t source = v - first - static_cast<int64_t>(k);
      if (source >= 0 && source < size) matrix[v][source] = taps[k];
    }
  }
  if (exact[0] < exact[1]) shift.mask.slice(0, exact[0], exact[1]).fill_(1);
  return shift;
}

AxisShift whole_axis(int64_t size, int64_t shift) {
  const std::array<int64_t, 2> overlap{std::max<int64_t>(shift, 0),
                                       size + std::min<int64_t>(shift, 0)};
  return axis_shift(size, shift, {1}, overlap, overlap);
}

double sinc(double x) {
  const double pi_x = M_PI * x;
  return x == 0 ? 1 : std::sin(pi_x) / pi_x;
}

AxisShift fractional_axis(int64_t size, double shift) {
  const double whole = std::floor(shift);
  std::vector<double> taps;
  double sum = 0;
  for (int64_t k = kFirstTap; k < kFirstTap + kTaps; ++k) {
    const double at = static_cast<double>(k) - (shift - whole);
    taps.push_back(sinc(at) * sinc(at / kLobes));
    sum += taps.back();
  }
  for (double& tap : taps) tap /= sum;
  const auto i = static_cast<int64_t>(whole);
  return axis_shift(size, i + kFirstTap, taps,
                    {std::max<int64_t>(i - 2, 0), size + std::min<int64_t>(i + 3, 0)},
                    {std::max<int64_t>(i + 3, 0), size + std::min<int64_t>(i - 2, 0)});
}

MovedImages apply(const at::Tensor& images, const AxisShift& x, const AxisShift& y) {
  const at::Device device = images.device();
  const at::Tensor rows = y.matrix.to(device), columns = x.matrix.t().to(device);
  return {at::matmul(at::matmul(rows, images.to(at::kDouble)), columns),
          at::outer(y.mask, x.mask).to(device)};
}

/// 1, but 0 in a border of some pixels; [1, 1, S, S].
at::Tensor inner(int64_t size, int64_t border) {
  at::Tensor mask = at::zeros({1, 1, size, size}, at::kDouble);
  mask.slice(2, border, size - border).slice(3, border, size - border).fill_(1);
  return mask;
}

at::Tensor lanczos_window(const at::Tensor& x) {
  return at::sinc(x / kLobes) * (x.abs() < kLobes);
}

/// Circular convolution of two arrays of odd sides, zero being in the middle of all three.
at::Tensor convolved(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor product =
      at::fft_rfft2(at::fft_ifftshift(a)) * at::fft_rfft2(at::fft_ifftshift(b));
  return at::fft_fftshift(at::fft_irfft2(product, a.sizes()));
}

/// Where the pixels of a turned image lie among `size` samples, `rate` per pixel and `margin` more
/// at the start: coordinates for grid_sampler, [1, S, S, 2].
at::Tensor turned_grid(int64_t pixels, double angle, int64_t size, double rate, double margin) {
  const double half = static_cast<double>(pixels) / 2;
  const at::Tensor offset = at::arange(pixels, at::kDouble) + (0.5 - half);
  const at::Tensor x = offset.view({1, -1}), y = offset.view({-1, 1});
  const double c = std::cos(angle), s = std::sin(angle);
  const at::Tensor places = at::stack({x * c - y * s, x * s + y * c}, -1);  // R^-1 (x, y)
  const at::Tensor index = (places + half) * rate + margin;
  return (index * (2 / static_cast<double>(size - 1)) - 1).unsqueeze(0);
}

void check_size(const at::Tensor& images) {
  TORCH_CHECK(images.size(3) >= kSmallest, "images of ", images.size(3),
              " pixels are too small to be turned: at least ", kSmallest, " are needed");
}

}  // namespace

MovedImages shift_whole(const at::Tensor& images, const std::array<int64_t, 2>& shift) {
  const int64_t size = images.size(3);
  return apply(images, whole_axis(size, shift[0]), whole_axis(size, shift[1]));
}

MovedImages shift_fractional(const at::Tensor& images, const std::array<double, 2>& shift) {
  const int64_t size = images.size(3);
  return apply(images, fractional_axis(size, shift[0]), fractional_axis(size, shift[1]));
}

at::Tensor band_limit_filter(double angle, int64_t oversampling) {
  const int64_t u = oversampling;
  const at::Tensor line =
      at::arange(1 - kPeriod * u, kPeriod * u, at::kDouble) / static_cast<double>(u);
  const at::Tensor x = line.view({1, -1}), y = line.view({-1, 1});
  const double c = std::cos(angle), s = std::sin(angle);
  const at::Tensor turned_x = x * c + y * s, turned_y = y * c - x * s;
  const at::Tensor ideal =
      convolved(at::sinc(x) * at::sinc(y), at::sinc(turned_x) * at::sinc(turned_y));
  const at::Tensor window = convolved(lanczos_window(x) * lanczos_window(y),
                                      lanczos_window(turned_x) * lanczos_window(turned_y));
  const int64_t begin = (kPeriod - kReach) * u, end = begin + 2 * kReach * u - 1;
  const at::Tensor cut = (ideal * window).slice(0, begin, end).slice(1, begin, end);
  const at::Tensor phases =
      at::constant_pad_nd(cut, {0, 1, 0, 1}).reshape({2 * kReach, u, 2 * kReach, u});
  const at::Tensor sums = phases.sum(at::IntArrayRef{0, 2}, true) * static_cast<double>(u * u);
  return (phases / sums)
      .reshape({2 * kReach * u, 2 * kReach * u})
      .slice(0, 0, -1)
      .slice(1, 0, -1)
      .contiguous();
}

MovedImages rotate(const at::Tensor& images, double angle) {
  check_size(images);
  const at::Device device = images.device();
  const at::Tensor filter = band_limit_filter(angle, kOversampling).to(device);
  const int64_t pad = filter.size(0) / 2, size = kOversampling * images.size(3) + 2 * pad;
  const at::Tensor large = upsample2d(images.to(at::kDouble), filter,
                                      {kOversampling, kOversampling}, {pad, pad, pad, pad});
  const at::Tensor grid = turned_grid(images.size(3), angle, size,
                                      static_cast<double>(kOversampling), static_cast<double>(pad))
                              .to(device);
  enum Interpolation { bilinear, nearest };  // as grid_sampler counts them
  constexpr int kZeros = 0;
  return {at::grid_sampler(large, grid.expand({images.size(0), -1, -1, -1}), bilinear, kZeros,
                           /*align_corners=*/true),
          at::grid_sampler(inner(size, 2 * pad + 1).to(device), grid, nearest, kZeros,
                           /*align_corners=*/true)[0][0]};
}

MovedImages pseudo_rotate(const at::Tensor& images, double angle) {
  check_size(images);
  const at::Tensor filter = band_limit_filter(-angle, 1).to(images.device());
  return {filter2d(images.to(at::kDouble), filter),
          inner(images.size(3), filter.size(0) / 2)[0][0].to(images.device())};
}

}  // namespace galette
