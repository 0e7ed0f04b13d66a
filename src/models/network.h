// SPDX-License-Identifier: Apache-2.0
// What every network is: tensors in an arena, and the constructor arguments that rebuild it.
// Networks are pure functions of their tensors and inputs: no forward pass has side effects.
#pragma once

#include <string>

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

 private:
  ParameterArena arena_;
};

/// Truncation trick: latents of the first `cutoff` layers (all when negative) are pulled towards
/// the average latent, w_avg + psi (w - w_avg).
struct Truncation {
  double psi = 1;
  int64_t cutoff = -1;
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
  virtual at::Tensor synthesize(const at::Tensor& ws) const = 0;

  /// One latent for every layer: w [N, w_dim] -> [N, num_ws, w_dim], truncated.
  at::Tensor broadcast(const at::Tensor& w, const Truncation& truncation = {}) const;
};

class Discriminator : public Network {
 public:
  using Network::Network;
  virtual int64_t c_dim() const = 0;
  /// img [N, C, R, R], c [N, c_dim] -> logits [N, 1].
  virtual at::Tensor logits(const at::Tensor& img, const at::Tensor& c) const = 0;
};

}  // namespace galette
