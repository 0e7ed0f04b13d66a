// SPDX-License-Identifier: Apache-2.0
// The constructor arguments that all generators have, under their published names.
#pragma once

#include <cstdint>

#include <nlohmann/json.hpp>

namespace galette {

struct GeneratorConfig {
  int64_t z_dim = 512;
  int64_t c_dim = 0;
  int64_t w_dim = 512;
  int64_t img_resolution = 256;
  int64_t img_channels = 3;
  int64_t mapping_layers = 8;
  int64_t channel_base = 32768;
  int64_t channel_max = 512;

  /// Takes those that `args` has; others keep their values.
  void take(const nlohmann::json& args);
  /// What take() takes.
  nlohmann::json common_args() const;
};

}  // namespace galette
