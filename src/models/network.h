// SPDX-License-Identifier: Apache-2.0
// What every network is: tensors in an arena, and the constructor arguments that rebuild it.
// Networks are pure functions of their tensors and inputs: no forward pass has side effects.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include "base/parameter_arena.h"

namespace galette {

class Network {
 public:
  explicit Network(at::TensorOptions options) : arena_(options) {}
  virtual ~Network() = default;

  ParameterArena& arena() { return arena_; }
  const ParameterArena& arena() const { return arena_; }
  virtual std::string class_name() const = 0;
  /// Constructor arguments, under the names of the published networks.
  virtual nlohmann::json init_args() const = 0;

  /// The 16-bit type (float16, bfloat16) of the layers that may compute in low precision; without
  /// one, all layers compute in the arena's type, as they do at first.
  void set_low_precision(std::optional<at::ScalarType> type) { low_precision_ = type; }
  std::optional<at::ScalarType> low_precision() const { return low_precision_; }

  /// Whether activations [N, C, H, W] lie channels last in the layers that compute in low
  /// precision, as convolutions of 16 bits on GPUs read them. The numbers are the same. Networks
  /// and layers without plain convolutions (CREPS, StyleGAN3's generator) have no use for it.
  void set_channels_last(bool channels_last) { channels_last_ = channels_last; }

 protected:
  /// The type of activations in a layer that may (or may not) compute in low precision.
  at::ScalarType activation_type(bool may_be_low) const {
    return may_be_low && low_precision_ ? *low_precision_ : arena_.options().dtype().toScalarType();
  }
  /// Activations [N, C, H, W] in the type and order of such a layer.
  at::Tensor as_activations(const at::Tensor& x, bool may_be_low) const {
    const at::ScalarType type = activation_type(may_be_low);
    if (!channels_last_ || !low_precision_) return x.to(type);
    return x.to(type, /*non_blocking=*/false, /*copy=*/false,
                may_be_low ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
  }

 private:
  ParameterArena arena_;
  std::optional<at::ScalarType> low_precision_;
  bool channels_last_ = false;
};

/// Truncation trick: latents of the first `cutoff` layers (all when negative) are pulled towards
/// the average latent, w_avg + psi (w - w_avg).
struct Truncation {
  double psi = 1;
  int64_t cutoff = -1;
};

/// What StyleGAN2 layers add to their results.
enum class NoiseMode { constant, random, none };

/// What the magnitude averages of StyleGAN3 layers are updated with, collected over passes.
struct InputMagnitudes {
  /// Per layer: sum of the squared inputs, and their number; float64 [layers, 2], zero at first.
  at::Tensor sums;
  /// The published behaviour: average <- lerp(mean of squares, average, beta) takes effect in the
  /// pass itself. Without it the pass uses the stored average, so that it does not depend on how a
  /// batch is split.
  std::optional<double> immediate_beta;
};

/// What a synthesis pass is given besides latents; a network ignores what it has no use for.
struct SynthesisOptions {
  NoiseMode noise_mode = NoiseMode::constant;
  /// For random noise: standard normals [N, 1, size, size] of a noise layer, counted from 0.
  std::function<at::Tensor(int64_t layer, int64_t size)> random_noise;
  InputMagnitudes* magnitudes = nullptr;
};

class Generator : public Network {
 public:
  using Network::Network;
  virtual int64_t z_dim() const = 0;
  virtual int64_t c_dim() const = 0;
  virtual int64_t w_dim() const = 0;
  virtual int64_t num_ws() const = 0;
  virtual int64_t img_resolution() const = 0;
  virtual int64_t img_channels() const = 0;

  /// z [N, z_dim], c [N, c_dim] -> w [N, w_dim].
  virtual at::Tensor map(const at::Tensor& z, const at::Tensor& c) const = 0;
  /// Running average of w, [w_dim]; the trainer keeps it.
  virtual at::Tensor w_avg() const = 0;
  /// ws [N, num_ws, w_dim] -> images [N, img_channels, img_resolution, img_resolution].
  at::Tensor synthesize(const at::Tensor& ws, const SynthesisOptions& options = {}) const {
    return render(ws, options);
  }
  /// The running averages of squared layer inputs, [] each, in the order of InputMagnitudes.
  virtual std::vector<at::Tensor> magnitude_averages() const { return {}; }

  /// One latent for every layer: w [N, w_dim] -> [N, num_ws, w_dim], truncated.
  at::Tensor broadcast(const at::Tensor& w, const Truncation& truncation = {}) const;

 private:
  virtual at::Tensor render(const at::Tensor& ws, const SynthesisOptions& options) const = 0;
};

class Discriminator : public Network {
 public:
  using Network::Network;
  virtual int64_t c_dim() const = 0;
  /// img [N, C, R, R], c [N, c_dim] -> logits [N, 1].
  virtual at::Tensor logits(const at::Tensor& img, const at::Tensor& c) const = 0;
};

}  // namespace galette
