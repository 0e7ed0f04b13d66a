// SPDX-License-Identifier: Apache-2.0
// How StyleGAN3 (Karras et al. 2021, "Alias-Free Generative Adversarial Networks") plans its
// layers: the band that each may use, its sampling rate and size, and the low-pass filters in
// between. Frequencies and rates count per image width, sizes are pixels including margins.
#pragma once

#include <array>
#include <string>
#include <vector>

#include <ATen/ATen.h>

namespace galette {

/// What the plan depends on; names and defaults of the published constructor.
struct StyleGan3Bands {
  int64_t num_layers = 14;   ///< without the step to RGB
  int64_t num_critical = 2;  ///< last layers that keep the full band
  double first_cutoff = 2;
  double first_stopband = 4.2870938501451725;     ///< 2^2.1
  double last_stopband_rel = 1.2311444133449163;  ///< 2^0.3, over the last cutoff
  int64_t margin_size = 10;
  int64_t filter_size = 6;       ///< taps per factor of resampling
  int64_t lrelu_upsampling = 2;  ///< of the rate at which layers are activated
};

/// Signals between two layers.
struct SignalPlan {
  double cutoff, half_width;  ///< the band that is kept, and half of the transition above
  int64_t rate, size, channels;
};

struct StyleGan3LayerPlan {
  std::string name;  ///< L<number>_<size>_<channels>
  SignalPlan in, out;
  bool critical, to_rgb;
  int64_t kernel;
  int64_t up, down, up_taps, down_taps;
  std::array<int64_t, 2> padding;  ///< before and after, of both axes, when upsampled
  bool radial;                     ///< the down filter is a full matrix

  /// The rate at which the layer is activated.
  int64_t inner_rate() const { return in.rate * up; }
  /// Filter buffers; undefined where nothing is filtered.
  at::Tensor up_filter() const;
  at::Tensor down_filter() const;
};

/// The layers of a network for R x R images, in order, the step to RGB last (section 3.2, appendix
/// C). Layers have (channel_base / 2) / cutoff channels, at most channel_max.
std::vector<StyleGan3LayerPlan> plan_stylegan3_layers(const StyleGan3Bands& bands,
                                                      int64_t resolution, int64_t image_channels,
                                                      int64_t channel_base, int64_t channel_max,
                                                      int64_t conv_kernel, bool radial_filters);

/// A low-pass filter of unit sum, float32: a Kaiser-windowed sinc [taps], or a jinc [taps, taps]
/// that is the same in all directions (appendix C.1). `width` is that of the whole transition.
/// Undefined for one tap.
at::Tensor design_lowpass(int64_t taps, double cutoff, double width, double rate, bool radial);

}  // namespace galette
