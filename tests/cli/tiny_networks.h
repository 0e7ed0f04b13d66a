// SPDX-License-Identifier: Apache-2.0
// Network files with tiny random generators, for the commands that use trained ones.
#pragma once

#include <memory>
#include <string>

#include <ATen/core/grad_mode.h>

#include "io/network_file.h"
#include "models/factory.h"

namespace galette::testing {

inline constexpr const char* kCreps = "training.networks_creps.Generator";
inline constexpr const char* kStyleGan2 = "training.networks_stylegan2.Generator";
inline constexpr const char* kStyleGan3 = "training.networks_stylegan3.Generator";

/// Constructor arguments of a 16x16 generator; `more` overrides.
inline nlohmann::json tiny_args(const nlohmann::json& more = nlohmann::json::object()) {
  nlohmann::json args{{"z_dim", 16},       {"c_dim", 0},
                      {"w_dim", 16},       {"img_resolution", 16},
                      {"img_channels", 3}, {"channel_base", 256},
                      {"channel_max", 16}, {"mapping_kwargs", {{"num_layers", 1}}}};
  args.update(more);
  return args;
}

inline std::unique_ptr<Generator> tiny_generator(const std::string& class_name,
                                                 const nlohmann::json& args) {
  auto g = make_generator(class_name, args, at::kFloat);
  g->arena().initialize(SampleRng(5), 0);
  const at::NoGradGuard no_grad;
  // An average that truncation shows.
  for (const ArenaEntry& entry : g->arena().buffers())
    if (entry.name == "mapping.w_avg") entry.tensor.fill_(0.5);
  // Noise that is seen.
  for (const ArenaEntry& entry : g->arena().parameters())
    if (entry.name.ends_with("noise_strength")) entry.tensor.fill_(0.5);
  return g;
}

inline io::NetworkFile tiny_network_file(const std::string& class_name,
                                         const nlohmann::json& args) {
  const auto g = tiny_generator(class_name, args);
  io::NetworkFile file;
  io::NetworkRecord& record = file.networks["G_ema"];
  record.class_name = g->class_name();
  record.init = g->init_args();
  for (const ArenaEntry& entry : g->arena().parameters())
    record.tensors[entry.name] = {entry.tensor.detach(), io::TensorKind::param};
  for (const ArenaEntry& entry : g->arena().buffers())
    record.tensors[entry.name] = {entry.tensor, io::TensorKind::buffer};
  file.kimg = 7;
  file.cfg = "tiny";
  return file;
}

/// Writes it and returns `path`.
inline std::string write_tiny_network(const std::string& path,
                                      const std::string& class_name = kCreps,
                                      const nlohmann::json& more = nlohmann::json::object()) {
  io::write_network_file(path, tiny_network_file(class_name, tiny_args(more)));
  return path;
}

}  // namespace galette::testing
