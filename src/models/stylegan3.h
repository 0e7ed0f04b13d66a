// SPDX-License-Identifier: Apache-2.0
// The StyleGAN3 generator (Karras et al. 2021, "Alias-Free Generative Adversarial Networks"),
// configurations T (3x3 kernels) and R (1x1 kernels, radial filters): Fourier features, then
// modulated convolutions, each followed by a leaky ReLU between an up- and a down-sampling filter.
// Images can be moved and turned through the buffer `transform`.
#pragma once

#include <optional>
#include <vector>

#include "models/generator_config.h"
#include "models/layers.h"
#include "models/network.h"
#include "models/stylegan3_filters.h"

namespace galette {

struct StyleGan3Config : GeneratorConfig {
  StyleGan3Bands bands;
  double output_scale = 0.25;
  int64_t num_fp16_res = 4;
  int64_t conv_kernel = 3;
  bool use_radial_filters = false;
  std::optional<double> conv_clamp = 256;
  double magnitude_ema_beta = 0.999;

  StyleGan3Config() { mapping_layers = 2; }
  static StyleGan3Config from_json(const nlohmann::json& args);
  nlohmann::json to_json() const;
  std::vector<StyleGan3LayerPlan> layers() const;
};

class StyleGan3Generator : public Generator {
 public:
  /// As snapshots name it.
  static constexpr const char* kClassName = "training.networks_stylegan3.Generator";

  StyleGan3Generator(const StyleGan3Config& config, at::TensorOptions options);

  std::string class_name() const override { return kClassName; }
  nlohmann::json init_args() const override { return config_.to_json(); }
  int64_t z_dim() const override { return config_.z_dim; }
  int64_t c_dim() const override { return config_.c_dim; }
  int64_t w_dim() const override { return config_.w_dim; }
  int64_t num_ws() const override { return static_cast<int64_t>(layers_.size()) + 1; }
  int64_t img_resolution() const override { return config_.img_resolution; }
  int64_t img_channels() const override { return config_.img_channels; }
  const StyleGan3Config& config() const { return config_; }

  at::Tensor map(const at::Tensor& z, const at::Tensor& c) const override {
    return (*mapping_)(z, c);
  }
  at::Tensor w_avg() const override { return mapping_->w_avg(); }
  std::vector<at::Tensor> magnitude_averages() const override;

  /// What the first layer starts from: w [N, w_dim] -> [N, C, S, S], S with margins.
  at::Tensor input_features(const at::Tensor& w) const { return (*input_)(w); }
  /// The buffer [3, 3] that takes positions of the image, which spans [-1/2, 1/2] along both axes,
  /// to positions of the untransformed one: the inverse of what the image undergoes. The identity
  /// after initialisation; callers may copy another matrix into it.
  at::Tensor transform() const { return input_->transform; }
  /// The matrix to copy there, float64 [3, 3], for an image that is turned by an angle in degrees
  /// and moved by (x, y) image widths.
  static at::Tensor inverse_transform(double angle, double x, double y);

 private:
  at::Tensor render(const at::Tensor& ws, const SynthesisOptions& options) const override;

  /// Waves of random directions, turned and moved by w and `transform`, mixed into channels.
  struct Input {
    Input(const Scope& scope, const SignalPlan& signal, int64_t w_dim);
    at::Tensor operator()(const at::Tensor& w) const;
    /// Matrices [N, 3, 3] from positions in the image to positions in the waves.
    at::Tensor placement(const at::Tensor& w) const;
    SignalPlan signal;
    at::Tensor weight, affine_weight, affine_bias;
    at::Tensor freqs, phases, transform;
  };

  /// Modulated convolution and filtered activation.
  class Layer {
   public:
    Layer(const Scope& scope, const StyleGan3LayerPlan& plan, const StyleGan3Config& config);
    /// x [N, I, S, S], w [N, w_dim], average of x^2 [] -> [N, O, S', S'] in x's type.
    at::Tensor operator()(const at::Tensor& x, const at::Tensor& w,
                          const at::Tensor& average) const;
    bool may_be_low() const { return may_be_low_; }
    at::Tensor magnitude_average() const { return magnitude_; }

   private:
    at::Tensor convolve(const at::Tensor& x, const at::Tensor& style, const at::Tensor& gain) const;

    StyleGan3LayerPlan plan_;
    std::optional<double> clamp_;
    bool may_be_low_;
    at::Tensor weight_, bias_, magnitude_, up_filter_, down_filter_;
    FullyConnected affine_;
  };

  StyleGan3Config config_;
  std::optional<MappingNetwork> mapping_;
  std::optional<Input> input_;
  std::vector<Layer> layers_;
};

}  // namespace galette
