// SPDX-License-Identifier: Apache-2.0
// The discriminator of StyleGAN2 (Karras et al. 2020a): one block per resolution from R to 8, each
// halving the image, then an epilogue at 4x4 with minibatch standard deviation.
#pragma once

#include <optional>
#include <vector>

#include "models/architecture.h"
#include "models/layers.h"
#include "models/network.h"

namespace galette {

struct DiscriminatorConfig {
  int64_t c_dim = 0;
  int64_t img_resolution = 256;
  int64_t img_channels = 3;
  int64_t channel_base = 32768;
  int64_t channel_max = 512;
  Architecture architecture = Architecture::resnet;
  int64_t num_fp16_res = 4;  ///< largest resolutions that may compute in 16 bits
  std::optional<double> conv_clamp = 256;
  std::optional<int64_t> cmap_dim;  ///< width of the mapped label; by default that of the epilogue
  int64_t freeze_layers =
      0;  ///< first layers kept fixed (Mo et al. 2020, "Freeze the Discriminator")
  int64_t mbstd_group_size = 4;  ///< samples per group of minibatch standard deviation
  int64_t mbstd_num_channels = 1;
  int64_t mapping_layers = 8;  ///< of the label's mapping, when conditional

  static DiscriminatorConfig from_json(const nlohmann::json& args);
  nlohmann::json to_json() const;
  int64_t channels(int64_t resolution) const {
    return std::min(channel_base / resolution, channel_max);
  }
};

class StyleGan2Discriminator : public Discriminator {
 public:
  /// As snapshots name it.
  static constexpr const char* kClassName = "training.networks_stylegan2.Discriminator";

  StyleGan2Discriminator(const DiscriminatorConfig& config, at::TensorOptions options);

  std::string class_name() const override { return kClassName; }
  nlohmann::json init_args() const override { return config_.to_json(); }
  int64_t c_dim() const override { return config_.c_dim; }
  at::Tensor logits(const at::Tensor& img, const at::Tensor& c) const override;

 private:
  /// [N, in, ρ, ρ] -> [N, out, ρ/2, ρ/2]. The first block starts from the image; those of
  /// architecture skip each add what they take from the image at their own resolution.
  struct Block {
    Block(const Scope& scope, const DiscriminatorConfig& config, int64_t resolution,
          int64_t& next_layer);
    at::Tensor operator()(const at::Tensor& x) const;
    bool may_be_low;  // compute in 16 bits
    at::Tensor filter;
    std::optional<Conv2dLayer> from_rgb;
    std::optional<Conv2dLayer> conv0, conv1, skip;
  };

  at::Tensor epilogue(const at::Tensor& x, const at::Tensor& image) const;

  DiscriminatorConfig config_;
  std::vector<Block> blocks_;
  std::optional<Conv2dLayer> from_rgb_, conv_;
  std::optional<FullyConnected> fc_, out_;
  std::optional<MappingNetwork> mapping_;
};

}  // namespace galette
