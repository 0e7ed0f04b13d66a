// SPDX-License-Identifier: Apache-2.0
// The constructor arguments of StyleGAN3 under their published names.
#include "models/json_args.h"
#include "models/stylegan3.h"

namespace galette {

StyleGan3Config StyleGan3Config::from_json(const nlohmann::json& args) {
  StyleGan3Config c;
  c.take(args);
  const auto take = [&](const char* name, auto& value) { value = args.value(name, value); };
  take("num_layers", c.bands.num_layers);
  take("num_critical", c.bands.num_critical);
  take("first_cutoff", c.bands.first_cutoff);
  take("first_stopband", c.bands.first_stopband);
  take("last_stopband_rel", c.bands.last_stopband_rel);
  take("margin_size", c.bands.margin_size);
  take("filter_size", c.bands.filter_size);
  take("lrelu_upsampling", c.bands.lrelu_upsampling);
  take("output_scale", c.output_scale);
  take("num_fp16_res", c.num_fp16_res);
  take("conv_kernel", c.conv_kernel);
  take("use_radial_filters", c.use_radial_filters);
  take("magnitude_ema_beta", c.magnitude_ema_beta);
  c.conv_clamp = number_or_null(args, "conv_clamp", c.conv_clamp);
  return c;
}

nlohmann::json StyleGan3Config::to_json() const {
  nlohmann::json args = common_args();
  args.update({{"num_layers", bands.num_layers},
               {"num_critical", bands.num_critical},
               {"first_cutoff", bands.first_cutoff},
               {"first_stopband", bands.first_stopband},
               {"last_stopband_rel", bands.last_stopband_rel},
               {"margin_size", bands.margin_size},
               {"filter_size", bands.filter_size},
               {"lrelu_upsampling", bands.lrelu_upsampling},
               {"output_scale", output_scale},
               {"num_fp16_res", num_fp16_res},
               {"conv_kernel", conv_kernel},
               {"use_radial_filters", use_radial_filters},
               {"conv_clamp", number_or_null(conv_clamp)},
               {"magnitude_ema_beta", magnitude_ema_beta}});
  return args;
}

std::vector<StyleGan3LayerPlan> StyleGan3Config::layers() const {
  return plan_stylegan3_layers(bands, img_resolution, img_channels, channel_base, channel_max,
                               conv_kernel, use_radial_filters);
}

}  // namespace galette
