// SPDX-License-Identifier: Apache-2.0
// Layers with equalised learning rates: weights are drawn from N(0, 1) and scaled at run time by
// 1/sqrt(fan-in) (Karras et al. 2018, "Progressive Growing of GANs", section 4.1).
// Layers that may compute in 16 bits follow the type of their input: weights are scaled and
// modulated in their own type and rounded for the product, which sums in float32.
// Shapes: N batch, C/I/O channels, P positions of a flattened image or line.
#pragma once

#include <optional>

#include <ATen/ATen.h>

#include "kernels/bias_act.h"
#include "kernels/line_decoder.h"
#include "models/scope.h"

namespace galette {

/// What a linear layer does to its result.
struct ActivationConfig {
  Activation activation = Activation::kLinear;
  double gain = 1;              ///< on top of the activation's own gain
  std::optional<double> clamp;  ///< of the result, before `gain` is counted in: scaled by it

  at::Tensor operator()(const at::Tensor& x, const at::Tensor& bias, int64_t dim) const;
};

/// y = act(x W^T m/sqrt(in) + m b), with learning-rate multiplier m. Weight [out, in], bias [out].
class FullyConnected {
 public:
  struct Config {
    Activation activation = Activation::kLinear;
    double lr_multiplier = 1;
    double bias_init = 0;
  };
  FullyConnected(const Scope& scope, int64_t in, int64_t out, const Config& config);

  /// x [N, in] -> [N, out].
  at::Tensor operator()(const at::Tensor& x) const;
  /// The same per position: x [N, in, P] -> [N, out, P].
  at::Tensor per_position(const at::Tensor& x) const;
  /// The layer per position as an operator takes it that computes whole networks.
  DecoderLayer decoder_layer() const { return {scaled_weight(), scaled_bias(), {}}; }

 private:
  at::Tensor scaled_weight() const { return weight_ * weight_gain_; }
  at::Tensor scaled_bias() const;

  Activation activation_;
  double weight_gain_, bias_gain_;
  at::Tensor weight_, bias_;
};

/// The weights [O, I, k, k] of a convolution in the type of its input and, where that lies channels
/// last, in its order: the step that rounds them also turns them round, once for both passes.
at::Tensor as_weight_for(const at::Tensor& x, const at::Tensor& weight);

/// x times (mean of x^2 over axis 1 + 1e-8)^(-1/2); x [N, D].
at::Tensor normalize_2nd_moment(const at::Tensor& x);

/// Maps a latent (and label) to the intermediate latent w (Karras et al. 2019, section 2).
class MappingNetwork {
 public:
  struct Config {
    int64_t z_dim = 512;  ///< 0: the label alone is mapped
    int64_t c_dim = 0;
    int64_t w_dim = 512;
    int64_t num_layers = 8;
    bool track_average = true;  ///< declares the buffer w_avg
  };
  MappingNetwork(const Scope& scope, const Config& config);

  /// z [N, z_dim], c [N, c_dim] -> w [N, w_dim]. z may be undefined when z_dim is 0.
  at::Tensor operator()(const at::Tensor& z, const at::Tensor& c) const;
  at::Tensor w_avg() const { return w_avg_; }

 private:
  Config config_;
  std::optional<FullyConnected> embed_;
  std::vector<FullyConnected> layers_;
  at::Tensor w_avg_;
};

/// Modulated fully connected layer per position (Nguyen et al. 2023; modulation of Karras et al.
/// 2020a, eq. 1-3): weight [O, I] scaled by a style per sample, and demodulated if asked.
class ModulatedFc {
 public:
  struct Config {
    bool demodulate = true;
    ActivationConfig act;
  };
  ModulatedFc(const Scope& scope, int64_t in, int64_t out, int64_t w_dim, const Config& config);

  /// x [N, I, P], w [N, w_dim] -> [N, O, P] in x's type.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& w) const;
  /// The layer as an operator takes it that computes whole networks.
  DecoderLayer decoder_layer(const at::Tensor& w) const;

 private:
  /// Modulated weights [N, O, I] to multiply values of `type` by.
  at::Tensor sample_weights(const at::Tensor& w, at::ScalarType type) const;

  Config config_;
  double style_gain_;
  at::Tensor weight_, bias_;
  FullyConnected affine_;
};

/// Convolution with optional 2x up- or down-sampling through the low-pass [1,3,3,1] (networks of
/// Karras et al. 2020a). Weight [O, I, k, k], bias [O] unless off.
class Conv2dLayer {
 public:
  struct Config {
    int kernel = 3;
    int up = 1;
    int down = 1;
    bool bias = true;
    ActivationConfig act;
  };
  Conv2dLayer(const Scope& scope, int64_t in, int64_t out, const Config& config);

  /// x [N, I, H, W] -> [N, O, H up/down, W up/down] in x's type.
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  Config config_;
  double weight_gain_;
  at::Tensor weight_, bias_, filter_;
};

}  // namespace galette
