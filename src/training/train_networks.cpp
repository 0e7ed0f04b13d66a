// SPDX-License-Identifier: Apache-2.0
#include "training/train_networks.h"

#include "models/creps.h"
#include "models/discriminator.h"

namespace galette {
namespace {

CrepsConfig generator_config(const TrainOptions& o, int64_t resolution, int64_t channels,
                             int64_t label_dim) {
  CrepsConfig config;
  config.c_dim = label_dim;
  config.img_resolution = resolution;
  config.img_channels = channels;
  config.mapping_layers = *o.map_depth;
  config.channel_base = o.generator_cbase();
  config.channel_max = o.generator_cmax();
  return config;
}

DiscriminatorConfig discriminator_config(const TrainOptions& o, int64_t resolution,
                                         int64_t channels, int64_t label_dim) {
  DiscriminatorConfig config;
  config.c_dim = label_dim;
  config.img_resolution = resolution;
  config.img_channels = channels;
  config.channel_base = o.cbase;
  config.channel_max = o.cmax;
  config.freeze_layers = o.freezed;
  config.mbstd_group_size = o.mbstd_group;
  return config;
}

}  // namespace

at::TensorOptions tensor_options(const TrainOptions& options) {
  return at::TensorOptions(at::kCPU).dtype(options.precision == "fp64" ? at::kDouble : at::kFloat);
}

TrainState make_train_state(const TrainOptions& o, int64_t resolution, int64_t channels,
                            int64_t label_dim) {
  const at::TensorOptions options = tensor_options(o);
  const CrepsConfig g = generator_config(o, resolution, channels, label_dim);
  const DiscriminatorConfig d = discriminator_config(o, resolution, channels, label_dim);
  return TrainState(std::make_unique<CrepsGenerator>(g, options),
                    std::make_unique<CrepsGenerator>(g, options),
                    std::make_unique<StyleGan2Discriminator>(d, options), *o.glr, o.dlr,
                    LazyIntervals{}, static_cast<uint64_t>(o.seed));
}

LossConfig loss_config(const TrainOptions& o) {
  LossConfig config;
  config.gamma = o.gamma;
  return config;
}

}  // namespace galette
