// SPDX-License-Identifier: Apache-2.0
#include "training/draws.h"

#include <numeric>

namespace galette {

Draws::Draws(SampleRng rng, at::TensorOptions options)
    : rng_(rng), options_(options), iteration_on_device_(at::zeros({1}, options.dtype(at::kInt))) {}

void Draws::begin_iteration(int64_t iteration) {
  if (iteration == iteration_) return;
  iteration_ = iteration;
  iteration_on_device_.fill_(static_cast<int32_t>(static_cast<uint32_t>(iteration)));
}

Stream Draws::stream(Purpose purpose, Phase phase, int64_t sub) const {
  return {purpose, phase, static_cast<uint32_t>(iteration_), static_cast<uint16_t>(sub)};
}

at::Tensor Draws::normal(const Stream& stream, const std::vector<int64_t>& samples,
                         const std::vector<int64_t>& shape) const {
  return rng_.normal(stream, samples, shape, options_, iteration_on_device_);
}

at::Tensor Draws::latents(Phase phase, const std::vector<int64_t>& samples, int64_t z_dim) const {
  return normal(stream(Purpose::z, phase), samples, {z_dim});
}

at::Tensor Draws::second_latents(Phase phase, const std::vector<int64_t>& samples,
                                 int64_t z_dim) const {
  return normal(stream(Purpose::z2, phase), samples, {z_dim});
}

at::Tensor Draws::style_cuts(Phase phase, const std::vector<int64_t>& samples, int64_t num_ws,
                             double probability) const {
  const Stream mix = stream(Purpose::mix, phase);
  std::vector<int64_t> cuts;
  for (const int64_t g : samples) {
    const auto sample = static_cast<uint32_t>(g);
    const bool mixed = rng_.uniform(mix, sample) < probability;
    // Elements 2 and 3: the first one is the decision's.
    const auto cut = 1 + rng_.below(mix, sample, static_cast<uint64_t>(num_ws - 1), 1);
    cuts.push_back(mixed ? static_cast<int64_t>(cut) : num_ws);
  }
  return at::tensor(cuts, at::kLong);
}

at::Tensor Draws::layer_noise(Phase phase, const std::vector<int64_t>& samples, int64_t layer,
                              int64_t size) const {
  return normal(stream(Purpose::noise, phase, layer), samples, {1, size, size});
}

at::Tensor Draws::path_noise(const std::vector<int64_t>& samples, int64_t channels,
                             int64_t resolution) const {
  return normal(stream(Purpose::pl_noise, Phase::g_reg), samples,
                {channels, resolution, resolution});
}

int64_t Draws::label_item(Phase phase, int64_t sample, int64_t items) const {
  return static_cast<int64_t>(rng_.below(
      stream(Purpose::label, phase), static_cast<uint32_t>(sample), static_cast<uint64_t>(items)));
}

at::Tensor Draws::grid_latents(int64_t first, int64_t count, int64_t z_dim) const {
  std::vector<int64_t> cells(static_cast<size_t>(count));
  std::iota(cells.begin(), cells.end(), first);
  return rng_.normal({Purpose::grid}, cells, {z_dim}, options_);
}

}  // namespace galette
