// SPDX-License-Identifier: Apache-2.0
// The CREPS generator (Nguyen et al. 2023, "Efficient Scale-Invariant Generator with Column-Row
// Entangled Pixel Synthesis"). An image is the product of row lines and column lines: the networks
// of stage b4 ... bR act on lines, and pixels are formed by an outer product of rank r per stage,
// refined by small decoders. A pixel depends on its own two coordinates only.
//
// Lines are tensors [N, C, (h+w)*r]: first the h row positions, then the w column positions, each
// with its r slots. Pixels are tensors [N, C, h*w].
#pragma once

#include <optional>
#include <vector>

#include "models/generator_config.h"
#include "models/layers.h"
#include "models/network.h"

namespace galette {

struct CrepsConfig : GeneratorConfig {
  int64_t biline_channels = 32;
  int64_t rank = 8;
  double bandwidth = 10;     ///< standard deviation of the Fourier frequencies
  int64_t num_fp16_res = 0;  ///< last stages that may compute in 16 bits
  std::optional<double> fc_clamp = 256;

  static CrepsConfig from_json(const nlohmann::json& args);
  nlohmann::json to_json() const;
  int64_t channels(int64_t stage) const { return std::min(channel_base / stage, channel_max); }
};

class CrepsGenerator : public Generator {
 public:
  /// As snapshots name it.
  static constexpr const char* kClassName = "training.networks_creps.Generator";

  CrepsGenerator(const CrepsConfig& config, at::TensorOptions options);

  std::string class_name() const override { return kClassName; }
  nlohmann::json init_args() const override { return config_.to_json(); }
  int64_t z_dim() const override { return config_.z_dim; }
  int64_t c_dim() const override { return config_.c_dim; }
  int64_t w_dim() const override { return config_.w_dim; }
  int64_t num_ws() const override { return num_ws_; }
  int64_t img_resolution() const override { return config_.img_resolution; }
  int64_t img_channels() const override { return config_.img_channels; }

  at::Tensor map(const at::Tensor& z, const at::Tensor& c) const override {
    return (*mapping_)(z, c);
  }
  at::Tensor w_avg() const override { return mapping_->w_avg(); }
  /// What the lines give to the pixels: the bi-line residual after each of the stages b8 ... bR, as
  /// factors [N*B, h, r] of the rows and [N*B, r, w] of the columns.
  struct Lines {
    std::vector<at::Tensor> rows, columns;
  };
  /// Rows [h] and columns [w] of the unit square; either may be empty. A line depends on its own
  /// coordinate only, so lines may be computed apart and be used with many others.
  Lines lines(const at::Tensor& ws, const at::Tensor& rows, const at::Tensor& columns) const;
  /// The pixels where rows and columns cross -> [N, img_channels, h, w].
  at::Tensor pixels(const at::Tensor& ws, const Lines& lines) const;
  /// Both: the pixels at any rows and columns.
  at::Tensor synthesize_at(const at::Tensor& ws, const at::Tensor& rows,
                           const at::Tensor& columns) const;

  /// The published grid for a size: n equally spaced values from 0 to 1 inclusive; [n].
  static at::Tensor grid(int64_t n, at::TensorOptions options);

 private:
  at::Tensor render(const at::Tensor& ws, const SynthesisOptions& options) const override;

  /// Fourier features of the coordinates, modulated: the lines that stage b4 starts from.
  struct Input {
    Input(const Scope& scope, const CrepsConfig& config);
    at::Tensor operator()(const at::Tensor& w, const at::Tensor& rows,
                          const at::Tensor& columns) const;
    int64_t channels, rank;
    at::Tensor weight, freqs, coords;
    FullyConnected affine;
  };
  /// fc0 (absent in b4) and fc1 on lines, and the step to the bi-line residual.
  struct Stage {
    Stage(const Scope& scope, const CrepsConfig& config, int64_t resolution);
    bool may_be_low;  // compute in 16 bits
    std::optional<ModulatedFc> fc0;
    ModulatedFc fc1, to_residual;
  };
  /// Per-pixel network B -> 2B -> 4B -> 2B -> B.
  struct Decoder {
    Decoder(const Scope& scope, int64_t channels);
    /// Of pixels (if defined) plus half the product of lines: [N*B, h, r], [N*B, r, w].
    at::Tensor operator()(const at::Tensor& pixels, const at::Tensor& rows,
                          const at::Tensor& columns) const;
    std::vector<DecoderLayer> decoder_layers() const;
    std::vector<FullyConnected> layers;
  };
  /// Modulated per-pixel refinement with its own contribution to the image; may compute in 16 bits.
  struct Refinement {
    Refinement(const Scope& scope, const CrepsConfig& config, int64_t in, int64_t out);
    ModulatedFc fc0, fc1, to_image;
  };

  at::Tensor refine(const at::Tensor& features, const at::Tensor& w) const;
  /// The same in one operator, all in the type of the features.
  at::Tensor refine_at_once(const at::Tensor& features, const at::Tensor& w) const;

  CrepsConfig config_;
  int64_t num_ws_;
  std::optional<MappingNetwork> mapping_;
  std::optional<Input> input_;
  std::vector<Stage> stages_;      // b4, b8, ... bR
  std::vector<Decoder> decoders_;  // of b8 ... bR; that of b8 is never used, as published
  std::optional<Decoder> decoder_last_;
  std::optional<FullyConnected> decoder_img_;
  std::vector<Refinement> refinements_;
};

}  // namespace galette
