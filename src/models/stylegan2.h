// SPDX-License-Identifier: Apache-2.0
// The generator of StyleGAN2 (Karras et al. 2020a): blocks from 4x4 to RxR, each doubling the
// image, whose convolutions are modulated by w and blurred by noise per pixel.
#pragma once

#include <optional>
#include <vector>

#include "models/architecture.h"
#include "models/generator_config.h"
#include "models/layers.h"
#include "models/modulated_conv2d.h"
#include "models/network.h"

namespace galette {

struct StyleGan2Config : GeneratorConfig {
  Architecture architecture = Architecture::skip;
  int64_t num_fp16_res = 4;  ///< largest resolutions that may compute in 16 bits
  std::optional<double> conv_clamp = 256;

  static StyleGan2Config from_json(const nlohmann::json& args);
  nlohmann::json to_json() const;
  int64_t channels(int64_t resolution) const {
    return std::min(channel_base / resolution, channel_max);
  }
};

class StyleGan2Generator : public Generator {
 public:
  /// As snapshots name it.
  static constexpr const char* kClassName = "training.networks_stylegan2.Generator";

  StyleGan2Generator(const StyleGan2Config& config, at::TensorOptions options);

  std::string class_name() const override { return kClassName; }
  nlohmann::json init_args() const override { return config_.to_json(); }
  int64_t z_dim() const override { return config_.z_dim; }
  int64_t c_dim() const override { return config_.c_dim; }
  int64_t w_dim() const override { return config_.w_dim; }
  /// One per convolution, and one for the last step to the image.
  int64_t num_ws() const override { return 2 * static_cast<int64_t>(blocks_.size()); }
  int64_t img_resolution() const override { return config_.img_resolution; }
  int64_t img_channels() const override { return config_.img_channels; }

  at::Tensor map(const at::Tensor& z, const at::Tensor& c) const override {
    return (*mapping_)(z, c);
  }
  at::Tensor w_avg() const override { return mapping_->w_avg(); }

 private:
  at::Tensor render(const at::Tensor& ws, const SynthesisOptions& options) const override;

  /// Modulated convolution with noise. Layers are numbered from 0 in the order b4.conv1, b8.conv0,
  /// b8.conv1, ...: the layer's w and its noise have its number.
  struct Layer {
    struct Config {
      int64_t number, in, out, resolution, up;
      double gain;
    };
    Layer(const Scope& scope, const StyleGan2Config& network, const Config& config);
    at::Tensor operator()(const at::Tensor& x, const std::vector<at::Tensor>& ws,
                          const SynthesisOptions& options) const;
    at::Tensor noise(const SynthesisOptions& options) const;
    int64_t number, resolution;
    at::Tensor filter;
    ModulatedConv2d conv;
    at::Tensor noise_strength, noise_const;
  };
  /// conv0 (absent in b4) and conv1, the step to the image where there is one, and the residual
  /// path of architecture resnet.
  struct Block {
    Block(const Scope& scope, const StyleGan2Config& config, int64_t resolution);
    at::Tensor operator()(const at::Tensor& x, const std::vector<at::Tensor>& ws,
                          const SynthesisOptions& options) const;
    bool may_be_low;  // compute in 16 bits
    at::Tensor filter;
    std::optional<Layer> conv0, conv1;
    std::optional<ModulatedConv2d> to_rgb;
    std::optional<Conv2dLayer> skip;
  };

  StyleGan2Config config_;
  at::Tensor const_;
  std::vector<Block> blocks_;  // b4, b8, ... bR
  std::optional<MappingNetwork> mapping_;
};

}  // namespace galette
