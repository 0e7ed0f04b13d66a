// SPDX-License-Identifier: Apache-2.0
#include "training/augment_draw.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace galette {
namespace {

using Step = AugmentStep;
using std::numbers::pi;

// Widths of the distributions.
constexpr double kShift = 0.125;  ///< of the image, also for whole pixels
constexpr double kLogScale = 0.2;
constexpr double kBrightness = 0.2;
constexpr double kLogContrast = 0.5;
constexpr double kNoise = 0.1;
constexpr double kCutout = 0.5;
/// Share of each band in the power of natural images, which fall off with frequency.
constexpr std::array<double, 4> kBandPower{10.0 / 13, 1.0 / 13, 1.0 / 13, 1.0 / 13};

template <size_t N>
Square<N> operator*(const Square<N>& a, const Square<N>& b) {
  Square<N> product{};
  for (size_t i = 0; i < N; ++i)
    for (size_t j = 0; j < N; ++j)
      for (size_t k = 0; k < N; ++k) product[i][j] += a[i][k] * b[k][j];
  return product;
}

Square<3> scaling(double x, double y) {
  return {{{x, 0, 0}, {0, y, 0}, {0, 0, 1}}};
}
Square<3> translation(double x, double y) {
  return {{{1, 0, x}, {0, 1, y}, {0, 0, 1}}};
}
Square<3> rotation(double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {{{c, -s, 0}, {s, c, 0}, {0, 0, 1}}};
}

/// along v vT + across (I - v vT) + twist [v]x, where v = (1, 1, 1)/sqrt(3) is the direction of
/// luma.
Square<4> about_luma(double along, double across, double twist) {
  const double same = along / 3 + across * 2 / 3, other = (along - across) / 3;
  const double t = twist / std::numbers::sqrt3;
  return {{{same, other - t, other + t, 0},
           {other + t, same, other - t, 0},
           {other - t, other + t, same, 0},
           {0, 0, 0, 1}}};
}

/// f(z^step) as taps.
std::vector<double> spread(const std::vector<double>& f, size_t step) {
  std::vector<double> taps((f.size() - 1) * step + 1);
  for (size_t i = 0; i < f.size(); ++i) taps[i * step] = f[i];
  return taps;
}

std::vector<double> convolve(const std::vector<double>& f, const std::vector<double>& g) {
  std::vector<double> product(f.size() + g.size() - 1);
  for (size_t i = 0; i < f.size(); ++i)
    for (size_t j = 0; j < g.size(); ++j) product[i + j] += f[i] * g[j];
  return product;
}

/// Half-band filters made of the symlet with two vanishing moments and its reverse.
std::array<std::vector<double>, 4> make_filter_bands() {
  std::vector<double> low{-1, 0, 9, 16, 9, 0, -1}, high{1, 0, -9, 16, -9, 0, 1};
  for (std::vector<double>* f : {&low, &high})
    for (double& tap : *f) tap /= 32;
  const std::vector<double> below_4 = low, below_2 = convolve(spread(low, 2), below_4);
  std::array<std::vector<double>, 4> bands{convolve(spread(low, 4), below_2),
                                           convolve(spread(high, 4), below_2),
                                           convolve(spread(high, 2), low), high};
  const size_t length = bands[0].size();
  for (std::vector<double>& band : bands) {
    const size_t border = (length - band.size()) / 2;
    band.insert(band.begin(), border, 0.0);
    band.resize(length);
  }
  return bands;
}

}  // namespace

const std::array<std::vector<double>, 4>& filter_bands() {
  static const std::array<std::vector<double>, 4> bands = make_filter_bands();
  return bands;
}

double AugmentDraws::angle(Step step) const {
  return (2 * uniform(step) - 1) * pi;
}

Square<3> AugmentDraws::geometry(int64_t resolution) const {
  const auto size = static_cast<double>(resolution);
  Square<3> m = scaling(1, 1);
  if (on(Step::xflip, config_.xflip * p_))
    m = m * scaling(1 - 2 * std::floor(2 * uniform(Step::xflip)), 1);
  if (on(Step::rotate90, config_.rotate90 * p_))
    m = m * rotation(std::floor(4 * uniform(Step::rotate90)) * pi / 2);
  if (on(Step::xint, config_.xint * p_)) {
    const auto pixels = [&](int64_t k) {
      return std::nearbyint((2 * uniform(Step::xint, k) - 1) * kShift * size);
    };
    m = m * translation(-pixels(0), -pixels(1));
  }
  if (on(Step::scale, config_.scale * p_)) {
    const double s = std::exp2(kLogScale * normal(Step::scale));
    m = m * scaling(1 / s, 1 / s);
  }
  // Two rotations, so that either happens with the probability of one.
  const double once = 1 - std::sqrt(1 - std::clamp(config_.rotate * p_, 0.0, 1.0));
  if (on(Step::pre_rotation, once)) m = m * rotation(angle(Step::pre_rotation));
  if (on(Step::aniso, config_.aniso * p_)) {
    const double s = std::exp2(kLogScale * normal(Step::aniso));
    m = m * scaling(1 / s, s);
  }
  if (on(Step::post_rotation, once)) m = m * rotation(angle(Step::post_rotation));
  if (on(Step::xfrac, config_.xfrac * p_)) {
    const double unit = -kShift * size;
    m = m * translation(unit * normal(Step::xfrac, 0), unit * normal(Step::xfrac, 1));
  }
  return m;
}

Square<4> AugmentDraws::colour(int64_t channels) const {
  Square<4> q = about_luma(1, 1, 0);
  if (on(Step::brightness, config_.brightness * p_)) {
    const double b = kBrightness * normal(Step::brightness);
    for (size_t i = 0; i < 3; ++i) q[i][3] += b;
  }
  if (on(Step::contrast, config_.contrast * p_)) {
    const double c = std::exp2(kLogContrast * normal(Step::contrast));
    q = about_luma(c, c, 0) * q;
  }
  if (on(Step::lumaflip, config_.lumaflip * p_))
    q = about_luma(1 - 2 * std::floor(2 * uniform(Step::lumaflip)), 1, 0) * q;
  if (channels > 1 && on(Step::hue, config_.hue * p_)) {
    const double theta = angle(Step::hue);
    q = about_luma(1, std::cos(theta), std::sin(theta)) * q;
  }
  if (channels > 1 && on(Step::saturation, config_.saturation * p_))
    q = about_luma(1, std::exp2(normal(Step::saturation)), 0) * q;
  return q;
}

std::vector<double> AugmentDraws::filter() const {
  std::array<double, 4> gain{1, 1, 1, 1};
  for (size_t band = 0; band < gain.size(); ++band) {
    const Step step{static_cast<uint16_t>(static_cast<size_t>(Step::imgfilter) + band)};
    if (!on(step, config_.imgfilter * p_ * config_.imgfilter_bands[band])) continue;
    const double amplified = std::exp2(normal(step));
    // The expected power stays what it was.
    const double power = 1 + kBandPower[band] * (amplified * amplified - 1);
    for (double& g : gain) g /= std::sqrt(power);
    gain[band] *= amplified;
  }
  std::vector<double> taps(filter_bands()[0].size());
  for (size_t band = 0; band < gain.size(); ++band)
    for (size_t i = 0; i < taps.size(); ++i) taps[i] += gain[band] * filter_bands()[band][i];
  return taps;
}

double AugmentDraws::noise_deviation() const {
  if (!on(Step::noise, config_.noise * p_)) return 0;
  return kNoise * std::abs(normal(Step::noise));
}

std::array<double, 3> AugmentDraws::cutout() const {
  if (!on(Step::cutout, config_.cutout * p_)) return {0, 0, 0};
  return {uniform(Step::cutout, 0), uniform(Step::cutout, 1), kCutout};
}

}  // namespace galette
