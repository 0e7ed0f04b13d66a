// SPDX-License-Identifier: Apache-2.0
#include "training/train_networks.h"

#include <cmath>

#include "models/creps.h"
#include "models/discriminator.h"
#include "models/factory.h"
#include "models/stylegan2.h"
#include "models/stylegan3.h"
#include "parallel/device_choice.h"

namespace galette {
namespace {

using Json = nlohmann::json;

constexpr int64_t kLatentWidth = 512;
// Resolutions, from the highest down, whose layers may compute in 16 bits.
constexpr int64_t kLowPrecisionResolutions = 4;
constexpr double kClamp = 256;
// Kimg that running magnitudes remember by half, for 1000 images (Karras et al. 2021).
constexpr double kMagnitudeHalfLife = 20'000;

Json clamp_of(const TrainOptions& o) {
  return o.full_precision() ? Json() : Json(kClamp);
}

int64_t low_precision_resolutions(const TrainOptions& o) {
  return o.full_precision() ? 0 : kLowPrecisionResolutions;
}

double magnitude_beta(const TrainOptions& o) {
  return std::pow(0.5, static_cast<double>(o.batch) / kMagnitudeHalfLife);
}

std::string generator_class(const TrainOptions& o) {
  if (o.is_stylegan3()) return StyleGan3Generator::kClassName;
  return o.cfg == "creps" ? CrepsGenerator::kClassName : StyleGan2Generator::kClassName;
}

/// Constructor arguments by their published names.
Json generator_args(const TrainOptions& o, const ImageShape& shape) {
  Json args{{"z_dim", kLatentWidth},
            {"w_dim", kLatentWidth},
            {"c_dim", shape.label_dim},
            {"img_resolution", shape.resolution},
            {"img_channels", shape.channels},
            {"mapping_kwargs", {{"num_layers", *o.map_depth}}},
            {"channel_base", o.generator_cbase()},
            {"channel_max", o.generator_cmax()}};
  if (o.cfg == "creps") {
    args["fc_clamp"] = clamp_of(o);
    return args;
  }
  args["conv_clamp"] = clamp_of(o);
  args["num_fp16_res"] = low_precision_resolutions(o);
  if (o.is_stylegan3()) args["magnitude_ema_beta"] = magnitude_beta(o);
  if (o.cfg == "stylegan3-r") {
    args["conv_kernel"] = 1;
    args["use_radial_filters"] = true;
  }
  return args;
}

Json discriminator_args(const TrainOptions& o, const ImageShape& shape) {
  return {{"c_dim", shape.label_dim},
          {"img_resolution", shape.resolution},
          {"img_channels", shape.channels},
          {"channel_base", o.cbase},
          {"channel_max", o.cmax},
          {"num_fp16_res", low_precision_resolutions(o)},
          {"conv_clamp", clamp_of(o)},
          {"block_kwargs", {{"freeze_layers", o.freezed}}},
          {"epilogue_kwargs", {{"mbstd_group_size", o.mbstd_group}}}};
}

std::optional<at::ScalarType> low_precision_type(const TrainOptions& o) {
  if (!o.has_16_bit_layers()) return std::nullopt;
  return o.precision == "bf16" ? at::kBFloat16 : at::kHalf;
}

}  // namespace

void set_gpu_arithmetic(const TrainOptions& options) {
  at::globalContext().setBenchmarkCuDNN(!options.nobench);
  at::globalContext().setAllowTF32CuDNN(options.precision == "tf32");
  at::globalContext().setAllowTF32CuBLAS(options.precision == "tf32");
}

at::TensorOptions tensor_options(const TrainOptions& options) {
  return at::TensorOptions(device_of(options.gpu))
      .dtype(options.precision == "fp64" ? at::kDouble : at::kFloat);
}

std::unique_ptr<Generator> make_run_generator(const TrainOptions& o, const ImageShape& shape) {
  auto g = make_generator(generator_class(o), generator_args(o, shape), tensor_options(o));
  g->set_low_precision(low_precision_type(o));
  g->set_channels_last(o.nhwc);
  return g;
}

std::unique_ptr<Discriminator> make_run_discriminator(const TrainOptions& o,
                                                      const ImageShape& shape) {
  auto d = make_discriminator(StyleGan2Discriminator::kClassName, discriminator_args(o, shape),
                              tensor_options(o));
  d->set_low_precision(low_precision_type(o));
  d->set_channels_last(o.nhwc);
  return d;
}

OptimizerShare optimizer_share(const TrainOptions& o, int rank) {
  if (!o.shard_optimizer) return {};
  return {rank, static_cast<int>(*o.gpus)};
}

TrainState make_train_state(const TrainOptions& o, const ImageShape& shape,
                            const OptimizerShare& share) {
  TrainState state(make_run_generator(o, shape), make_run_generator(o, shape),
                   make_run_discriminator(o, shape), *o.glr, o.dlr, lazy_intervals(o),
                   static_cast<uint64_t>(o.seed), share);
  state.ada = AdaController(ada_config(o));
  return state;
}

LazyIntervals lazy_intervals(const TrainOptions& o) {
  LazyIntervals intervals;
  if (o.is_stylegan3()) intervals.g = 1;
  return intervals;
}

LossConfig loss_config(const TrainOptions& o) {
  LossConfig config;
  config.gamma = *o.gamma;
  config.intervals = lazy_intervals(o);
  if (o.is_stylegan3()) {
    config.path_length_weight = 0;
    config.magnitude_beta = magnitude_beta(o);
  }
  if (o.cfg == "stylegan2") config.style_mixing = 0.9;
  if (o.cfg == "stylegan3-r" && o.resume == "none") {
    config.blur_start = 10;
    config.blur_fade_kimg = 200 * static_cast<double>(o.batch) / 32;
  }
  return config;
}

PhaseExecution phase_execution(const TrainOptions& o) {
  const bool is_wanted = o.graphs == "on" || (o.graphs == "auto" && *o.gpus == 1);
  if (o.gpu < 0 || !is_wanted) return {};
  return {Overlap::where_it_pays, o.graphs == "on" ? Graphs::required : Graphs::possible,
          make_gpu_recorder(device_of(o.gpu))};
}

AdaConfig ada_config(const TrainOptions& o) {
  AdaConfig config;
  if (o.aug == "ada") config.mode = AugmentMode::ada;
  if (o.aug == "fixed") {
    config.mode = AugmentMode::fixed;
    config.p = o.p;
  }
  config.target = o.target;
  if (o.resume != "none") config.kimg = 100;
  return config;
}

std::optional<AugmentPipe> make_augment_pipe(const TrainOptions& o, const ImageShape& shape) {
  if (!AdaController(ada_config(o)).augments()) return std::nullopt;
  return AugmentPipe(AugmentConfig::named(o.augpipe), shape.channels, shape.resolution);
}

}  // namespace galette
