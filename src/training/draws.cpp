// SPDX-License-Identifier: Apache-2.0
#include "training/draws.h"

#include <numeric>

#include "kernels/upload.h"

namespace galette {
namespace {

Stream stream(Purpose purpose, Phase phase, int64_t iteration, int64_t sub = 0) {
  return {purpose, phase, static_cast<uint32_t>(iteration), static_cast<uint16_t>(sub)};
}

}  // namespace

at::Tensor Draws::normal(const Stream& stream, const std::vector<int64_t>& samples,
                         const std::vector<int64_t>& shape) const {
  return rng_.normal(stream, samples, shape, options_);
}

at::Tensor Draws::latents(Phase phase, int64_t iteration, const std::vector<int64_t>& samples,
                          int64_t z_dim) const {
  return normal(stream(Purpose::z, phase, iteration), samples, {z_dim});
}

at::Tensor Draws::second_latents(Phase phase, int64_t iteration,
                                 const std::vector<int64_t>& samples, int64_t z_dim) const {
  return normal(stream(Purpose::z2, phase, iteration), samples, {z_dim});
}

at::Tensor Draws::style_cuts(Phase phase, int64_t iteration, const std::vector<int64_t>& samples,
                             int64_t num_ws, double probability) const {
  const Stream mix = stream(Purpose::mix, phase, iteration);
  std::vector<int64_t> cuts;
  for (const int64_t g : samples) {
    const auto sample = static_cast<uint32_t>(g);
    const bool mixed = rng_.uniform(mix, sample) < probability;
    // Elements 2 and 3: the first one is the decision's.
    const auto cut = 1 + rng_.below(mix, sample, static_cast<uint64_t>(num_ws - 1), 1);
    cuts.push_back(mixed ? static_cast<int64_t>(cut) : num_ws);
  }
  return upload(at::tensor(cuts, at::kLong), options_.dtype(at::kLong));
}

at::Tensor Draws::layer_noise(Phase phase, int64_t iteration, const std::vector<int64_t>& samples,
                              int64_t layer, int64_t size) const {
  return normal(stream(Purpose::noise, phase, iteration, layer), samples, {1, size, size});
}

at::Tensor Draws::path_noise(int64_t iteration, const std::vector<int64_t>& samples,
                             int64_t channels, int64_t resolution) const {
  return normal(stream(Purpose::pl_noise, Phase::g_reg, iteration), samples,
                {channels, resolution, resolution});
}

int64_t Draws::label_item(Phase phase, int64_t iteration, int64_t sample, int64_t items) const {
  return static_cast<int64_t>(rng_.below(stream(Purpose::label, phase, iteration),
                                         static_cast<uint32_t>(sample),
                                         static_cast<uint64_t>(items)));
}

at::Tensor Draws::grid_latents(int64_t first, int64_t count, int64_t z_dim) const {
  std::vector<int64_t> cells(static_cast<size_t>(count));
  std::iota(cells.begin(), cells.end(), first);
  return normal(stream(Purpose::grid, Phase::none, 0), cells, {z_dim});
}

}  // namespace galette
