// SPDX-License-Identifier: Apache-2.0
#include "metrics/power_spectrum.h"

#include <cmath>

namespace galette {
namespace {

at::Tensor unit_window(int64_t size, double beta) {
  const at::Tensor window =
      at::kaiser_window(size, /*periodic=*/false, beta, at::TensorOptions(at::kDouble));
  return window / window.square().sum().sqrt();
}

}  // namespace

PowerSpectrum::PowerSpectrum(const SpectrumSetup& setup, at::Device device) : setup_(setup) {
  const at::Tensor window = unit_window(setup.image_size, setup.beta);
  window_ = at::outer(window, window).to(device);
  const int64_t size = setup.interp * setup.image_size;
  sum_ = at::zeros({size, size / 2 + 1}, window_.options());
}

void PowerSpectrum::add(const at::Tensor& image) {
  const int64_t size = sum_.size(0);
  // Channel by channel: the padded one is interp^2 times as large.
  for (const at::Tensor& channel : image.to(sum_.device()).unbind()) {
    const at::Tensor x = (channel.to(at::kDouble) - setup_.mean) / setup_.std * window_;
    const at::Tensor f = at::view_as_real(at::fft_rfft2(x, {{size, size}}));
    sum_.add_(f.square_().sum(-1));
    count_ += 1;
  }
}

at::Tensor PowerSpectrum::average(const at::Tensor& sum, double count) {
  const int64_t size = sum.size(0), half = sum.size(1);
  // The spectrum of real values: P(u, v) = P(-u, -v).
  const at::Tensor mirrored = sum.narrow(1, 1, size - half).flip({0, 1}).roll(1, 0);
  return at::cat({sum, mirrored}, 1) / count;
}

void PixelStatistics::add(const at::Tensor& image) {
  const at::Tensor values = image.to(at::kLong);
  sums_.add_(at::stack(
      {at::scalar_tensor(values.numel(), at::kLong), values.sum(), values.square().sum()}));
}

double PixelStatistics::mean(const at::Tensor& sums) {
  return sums[1].item<double>() / sums[0].item<double>();
}

double PixelStatistics::deviation(const at::Tensor& sums) {
  const double average = mean(sums);
  return std::sqrt(sums[2].item<double>() / sums[0].item<double>() - average * average);
}

}  // namespace galette
