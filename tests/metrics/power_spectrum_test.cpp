// SPDX-License-Identifier: Apache-2.0
// Power spectra against direct sums, and white noise at 0 dB.
#include "metrics/power_spectrum.h"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "base/sample_rng.h"

namespace galette::testing {
namespace {

at::Tensor noise_image(int64_t channels, int64_t size, int64_t number) {
  const Stream stream{.purpose = Purpose::metric_noise};
  return (SampleRng(3).normal(stream, {number}, {channels, size, size}, at::kDouble)[0] * 40 + 120)
      .clamp(0, 255)
      .to(at::kByte);
}

/// Power at (u, v) by the definition, of float64 [C, S, S] that is windowed already.
double direct_power(const at::Tensor& x, int64_t n, int64_t u, int64_t v) {
  double power = 0;
  for (const at::Tensor& channel : x.unbind()) {
    const int64_t size = channel.size(0);
    const at::Tensor place = at::arange(size, at::kDouble);
    const at::Tensor phase = (place.unsqueeze(1) * static_cast<double>(u) +
                              place.unsqueeze(0) * static_cast<double>(v)) *
                             (2 * std::numbers::pi / static_cast<double>(n));
    const double re = (channel * phase.cos()).sum().item<double>();
    const double im = (channel * phase.sin()).sum().item<double>();
    power += re * re + im * im;
  }
  return power;
}

TEST(PowerSpectrum, EqualsTheDefinition) {
  const SpectrumSetup setup{.image_size = 6, .mean = 100, .std = 30, .beta = 8, .interp = 2};
  PowerSpectrum spectrum(setup);
  at::Tensor window = at::empty({6}, at::kDouble);
  for (int i = 0; i < 6; ++i)
    window[i] = std::cyl_bessel_i(0.0, 8 * std::sqrt(1 - std::pow(2.0 * i / 5 - 1, 2)));
  window /= window.square().sum().sqrt();
  std::vector<at::Tensor> windowed;
  for (int k = 0; k < 3; ++k) {
    const at::Tensor image = noise_image(2, 6, k);
    spectrum.add(image);
    windowed.push_back((image.to(at::kDouble) - 100) / 30 * at::outer(window, window));
  }
  EXPECT_EQ(spectrum.count(), 6);
  const at::Tensor average = PowerSpectrum::average(spectrum.sum(), spectrum.count());
  ASSERT_EQ(average.sizes(), at::IntArrayRef({12, 12}));
  const at::Tensor all = at::cat(windowed);
  for (const auto& [u, v] : {std::pair{0, 0}, {1, 2}, {11, 5}, {3, 6}, {2, 9}, {10, 11}, {6, 7}}) {
    const double expected = direct_power(all, 12, u, v) / 6;
    EXPECT_NEAR(average[u][v].item<double>(), expected, 1e-12 * (1 + expected)) << u << "," << v;
  }
}

TEST(PowerSpectrum, WhiteNoiseIsAtZeroDecibels) {
  PixelStatistics statistics;
  std::vector<at::Tensor> images;
  for (int k = 0; k < 40; ++k) {
    images.push_back(noise_image(3, 32, k));
    statistics.add(images.back());
  }
  const at::Tensor sums = statistics.sums();
  const at::Tensor all = at::stack(images).to(at::kDouble);
  EXPECT_NEAR(PixelStatistics::mean(sums), all.mean().item<double>(), 1e-9);
  EXPECT_NEAR(PixelStatistics::deviation(sums), all.std(false).item<double>(), 1e-9);
  PowerSpectrum spectrum({32, PixelStatistics::mean(sums), PixelStatistics::deviation(sums), 8, 1});
  for (const at::Tensor& image : images) spectrum.add(image);
  const at::Tensor power = PowerSpectrum::average(spectrum.sum(), spectrum.count());
  // 120 exponential values of mean 1 at each of 1024 frequencies: one deviation is 0.091.
  EXPECT_LT((power - 1).abs().max().item<double>(), 6 * 0.091);
  EXPECT_NEAR(power.mean().item<double>(), 1, 0.02);
}

}  // namespace
}  // namespace galette::testing
