// SPDX-License-Identifier: Apache-2.0
// inception: pooled features and logits of the detector network, with weights that are drawn from a
// hash of their names, since the trained ones cannot be stored here. Images are resized with pixel
// centres at half coordinates, as the program that made the file does.
#include "models/inception.h"

#include <cmath>

#include "golden.h"

namespace galette::golden {
namespace {

/// FNV-1a.
uint64_t hash_of(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

/// The finaliser of SplitMix64.
uint64_t mixed(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/// Uniform in [-1, 1) -> a weight.
double scaled(const std::string& name, at::IntArrayRef shape, double u) {
  if (shape.size() >= 2) {
    const auto fan_in = static_cast<double>(c10::multiply_integers(shape.slice(1)));
    return u * std::sqrt(6 / fan_in) * (name == "fc.weight" ? 0.5 : 1);
  }
  if (name.ends_with("running_var")) return 1 + 0.25 * u;
  if (name.ends_with("bn.weight")) return 1 + 0.1 * u;
  return 0.1 * u;
}

at::Tensor hashed_weights(const std::string& name, at::IntArrayRef shape) {
  constexpr uint64_t kStep = 0x9e3779b97f4a7c15;
  at::Tensor weights = at::empty(shape, at::kFloat);
  uint64_t seed = hash_of(name);
  auto* values = weights.mutable_data_ptr<float>();
  for (int64_t i = 0; i < weights.numel(); ++i) {
    seed += kStep;
    const double u = static_cast<double>(mixed(seed) >> 40) / (1 << 23) - 1;
    values[i] = static_cast<float>(scaled(name, shape, u));
  }
  return weights;
}

/// The first weights of some tensors.
void check_weights(const Case& c) {
  for (const std::string& name : c.list("in")) {
    const at::Tensor stored = c.get("in/" + name);
    std::vector<int64_t> shape{1008};
    if (name == "fc.weight") shape = {1008, 2048};
    if (name.ends_with("conv.weight")) shape = {32, 3, 3, 3};
    const at::Tensor drawn = hashed_weights(name, shape).flatten().slice(0, 0, stored.numel());
    c.compare("in/" + name, drawn.to(c.type()), 0);
  }
}

void check_network(const Case& c) {
  const Inception network({hashed_weights, c.type(), c.name()}, InceptionInput::half_pixel);
  const at::Tensor features = network.features(c.raw("in/images_uint8"));
  c.compare("out/pool2048", features);
  const at::Tensor bias = hashed_weights("fc.bias", {1008}).to(c.type());
  c.compare("out/logits1008", network.logits(features) + bias);
}

bool run(const Case& c) {
  if (c.name() == "state_sample") {
    check_weights(c);
  } else if (c.has("in/images_uint8")) {
    check_network(c);
  } else {
    return false;
  }
  return true;
}

}  // namespace

Section inception_section() {
  return {"inception", root_groups, run, /*is_for_cpu=*/true};
}

}  // namespace galette::golden
