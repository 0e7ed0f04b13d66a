// SPDX-License-Identifier: Apache-2.0
// Modulated convolution (Karras et al. 2020a, eq. 1-3), evaluated without weights per sample: the
// style scales the input channels before one convolution of the whole batch, demodulation scales
// its output channels. Both are linear per channel, so the result is the same.
#pragma once

#include <ATen/ATen.h>

#include "models/layers.h"
#include "models/scope.h"

namespace galette {

class ModulatedConv2d {
 public:
  struct Config {
    int64_t kernel = 3;
    int64_t up = 1;
    bool demodulate = true;  ///< without, the style is scaled by 1/sqrt(fan-in) instead
    ActivationConfig act;
    at::Tensor filter;  ///< low-pass of up-sampling
  };
  /// Declares weight [O, I, k, k], bias [O] and the affine map from w to styles.
  ModulatedConv2d(const Scope& scope, int64_t in, int64_t out, int64_t w_dim, const Config& config);

  /// x [N, I, H, W], w [N, w_dim] -> [N, O, H up, W up] in x's type. Demodulated layers
  /// add `noise`, which broadcasts against the result, before bias and activation.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& w,
                        const at::Tensor& noise = {}) const;

 private:
  at::Tensor convolve(const at::Tensor& x, const at::Tensor& weight) const;

  Config config_;
  double style_gain_;
  at::Tensor weight_, bias_;
  FullyConnected affine_;
};

}  // namespace galette
