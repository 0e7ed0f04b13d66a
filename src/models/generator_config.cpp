// SPDX-License-Identifier: Apache-2.0
#include "models/generator_config.h"

namespace galette {

void GeneratorConfig::take(const nlohmann::json& args) {
  z_dim = args.value("z_dim", z_dim);
  c_dim = args.value("c_dim", c_dim);
  w_dim = args.value("w_dim", w_dim);
  img_resolution = args.value("img_resolution", img_resolution);
  img_channels = args.value("img_channels", img_channels);
  channel_base = args.value("channel_base", channel_base);
  channel_max = args.value("channel_max", channel_max);
  if (args.contains("mapping_kwargs")) {
    mapping_layers = args["mapping_kwargs"].value("num_layers", mapping_layers);
  }
}

nlohmann::json GeneratorConfig::common_args() const {
  return {{"z_dim", z_dim},
          {"c_dim", c_dim},
          {"w_dim", w_dim},
          {"img_resolution", img_resolution},
          {"img_channels", img_channels},
          {"mapping_kwargs", {{"num_layers", mapping_layers}}},
          {"channel_base", channel_base},
          {"channel_max", channel_max}};
}

}  // namespace galette
