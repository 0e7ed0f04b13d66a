// SPDX-License-Identifier: Apache-2.0
// Makes an image with a tiny CREPS network of random weights, and prints its sides.
#include <cstdio>

#include "models/factory.h"

int main() {
  const nlohmann::json args{{"z_dim", 8},
                            {"w_dim", 8},
                            {"img_resolution", 8},
                            {"channel_base", 64},
                            {"channel_max", 8},
                            {"biline_channels", 8},
                            {"mapping_kwargs", {{"num_layers", 1}}}};
  const auto g = galette::make_generator("training.networks_creps.Generator", args, at::kFloat);
  g->arena().initialize(galette::SampleRng(1), 0);
  const at::Tensor w = g->map(at::ones({1, 8}), at::Tensor());
  const at::Tensor image = g->synthesize(g->broadcast(w));
  std::printf("%dx%d\n", int(image.size(3)), int(image.size(2)));
  return image.isfinite().all().item<bool>() ? 0 : 1;
}
