// SPDX-License-Identifier: Apache-2.0
#include "models/stylegan3_filters.h"

#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "kernels/upfirdn2d_math.h"

namespace galette {
namespace {

constexpr double kPi = std::numbers::pi;

/// Kaiser's shape parameter for a transition of `width` (Kaiser 1974; as in Oppenheim and Schafer,
/// "Discrete-Time Signal Processing", section 7.5.3).
double kaiser_beta(int64_t taps, double width, double rate) {
  const double attenuation =
      2.285 * static_cast<double>(taps - 1) * kPi * width / (rate / 2) + 7.95;
  if (attenuation > 50) return 0.1102 * (attenuation - 8.7);
  if (attenuation <= 21) return 0;
  return 0.5842 * std::pow(attenuation - 21, 0.4) + 0.07886 * (attenuation - 21);
}

std::vector<double> kaiser_window(int64_t taps, double beta) {
  std::vector<double> window;
  const double centre = static_cast<double>(taps - 1) / 2;
  for (int64_t n = 0; n < taps; ++n) {
    const double u = (static_cast<double>(n) - centre) / centre;
    window.push_back(std::cyl_bessel_i(0.0, beta * std::sqrt(std::max(0.0, 1 - u * u))) /
                     std::cyl_bessel_i(0.0, beta));
  }
  return window;
}

double sinc(double t) {
  return t == 0 ? 1 : std::sin(kPi * t) / (kPi * t);
}

/// The Fourier transform of a disc of radius `cutoff` at distance r.
double jinc(double cutoff, double r) {
  return r == 0 ? kPi * cutoff * cutoff : std::cyl_bessel_j(1.0, 2 * kPi * cutoff * r) * cutoff / r;
}

/// The band, rate and size of the signal after layer i (before layer 0 as after it).
SignalPlan plan_signal(const StyleGan3Bands& bands, int64_t resolution, int64_t i) {
  const double last_cutoff = static_cast<double>(resolution) / 2;
  const double last_stopband = last_cutoff * bands.last_stopband_rel;
  const double exponent = std::min(
      static_cast<double>(i) / static_cast<double>(bands.num_layers - bands.num_critical), 1.0);
  const auto between = [&](double first, double last) {
    return first * std::pow(last / first, exponent);
  };
  const double stopband = between(bands.first_stopband, last_stopband);
  SignalPlan s{};
  s.cutoff = between(bands.first_cutoff, last_cutoff);
  // Where the stopband is half a power of two, rounding must not decide about the rate.
  const double wanted = std::log2(std::min(2 * stopband, static_cast<double>(resolution)));
  s.rate = int64_t{1} << static_cast<int64_t>(std::ceil(wanted - 1e-9));
  s.half_width = std::max(stopband, static_cast<double>(s.rate) / 2) - s.cutoff;
  s.size = i >= bands.num_layers - 1 ? resolution : s.rate + 2 * bands.margin_size;
  return s;
}

/// Factors, taps and padding between the signals of a layer.
void plan_resampling(const StyleGan3Bands& bands, StyleGan3LayerPlan& l) {
  const int64_t inner = std::max(l.in.rate, l.out.rate) * (l.to_rgb ? 1 : bands.lrelu_upsampling);
  const auto taps = [&](int64_t factor) {
    return factor > 1 && !l.to_rgb ? bands.filter_size * factor : 1;
  };
  l.up = inner / l.in.rate;
  l.down = inner / l.out.rate;
  l.up_taps = taps(l.up);
  l.down_taps = taps(l.down);
  // What makes the result of the wanted size, with the input in the middle of its pixels (appendix
  // C.3).
  const int64_t total = (l.out.size - 1) * l.down + 1 - (l.in.size + l.kernel - 1) * l.up +
                        l.up_taps + l.down_taps - 2;
  const int64_t before = floor_div(total + l.up, 2);
  l.padding = {before, total - before};
}

}  // namespace

at::Tensor design_lowpass(int64_t taps, double cutoff, double width, double rate, bool radial) {
  if (taps == 1) return {};
  const std::vector<double> window = kaiser_window(taps, kaiser_beta(taps, width, rate));
  const double centre = static_cast<double>(taps - 1) / 2;
  const auto position = [&](int64_t n) { return (static_cast<double>(n) - centre) / rate; };
  std::vector<double> f;
  for (int64_t i = 0; i < taps; ++i) {
    if (!radial) f.push_back(sinc(2 * cutoff * position(i)) * window[i]);
    for (int64_t j = 0; radial && j < taps; ++j)
      f.push_back(jinc(cutoff, std::hypot(position(i), position(j))) * window[i] * window[j]);
  }
  at::Tensor filter = at::tensor(at::ArrayRef<double>(f), at::kDouble);
  filter = (filter / filter.sum()).to(at::kFloat);
  return radial ? filter.view({taps, taps}) : filter;
}

at::Tensor StyleGan3LayerPlan::up_filter() const {
  return design_lowpass(up_taps, in.cutoff, 2 * in.half_width, static_cast<double>(inner_rate()),
                        false);
}

at::Tensor StyleGan3LayerPlan::down_filter() const {
  return design_lowpass(down_taps, out.cutoff, 2 * out.half_width,
                        static_cast<double>(inner_rate()), radial);
}

std::vector<StyleGan3LayerPlan> plan_stylegan3_layers(const StyleGan3Bands& bands,
                                                      int64_t resolution, int64_t image_channels,
                                                      int64_t channel_base, int64_t channel_max,
                                                      int64_t conv_kernel, bool radial_filters) {
  std::vector<SignalPlan> signals;
  for (int64_t i = 0; i <= bands.num_layers; ++i) {
    signals.push_back(plan_signal(bands, resolution, i));
    const double wanted = static_cast<double>(channel_base) / 2 / signals.back().cutoff;
    // Half to even, as the published names of layers were rounded.
    signals.back().channels =
        static_cast<int64_t>(std::nearbyint(std::min(wanted, static_cast<double>(channel_max))));
  }
  signals.back().channels = image_channels;

  std::vector<StyleGan3LayerPlan> layers;
  for (int64_t i = 0; i <= bands.num_layers; ++i) {
    StyleGan3LayerPlan l{};
    l.in = signals[std::max<int64_t>(i - 1, 0)];
    l.out = signals[i];
    l.name = fmt::format("L{}_{}_{}", i, l.out.size, l.out.channels);
    l.critical = i >= bands.num_layers - bands.num_critical;
    l.to_rgb = i == bands.num_layers;
    l.kernel = l.to_rgb ? 1 : conv_kernel;
    l.radial = radial_filters && !l.critical;
    plan_resampling(bands, l);
    layers.push_back(l);
  }
  return layers;
}

}  // namespace galette
