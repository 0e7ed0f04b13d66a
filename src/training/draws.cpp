// SPDX-License-Identifier: Apache-2.0
#include "training/draws.h"

#include <numeric>

namespace galette {
namespace {

Stream stream(Purpose purpose, Phase phase, int64_t iteration) {
  return {purpose, phase, static_cast<uint32_t>(iteration), 0};
}

}  // namespace

at::Tensor Draws::latents(Phase phase, int64_t iteration, const std::vector<int64_t>& samples,
                          int64_t z_dim) const {
  return rng_
      .normal(stream(Purpose::z, phase, iteration), samples, {z_dim},
              c10::typeMetaToScalarType(options_.dtype()))
      .to(options_);
}

at::Tensor Draws::path_noise(int64_t iteration, const std::vector<int64_t>& samples,
                             int64_t channels, int64_t resolution) const {
  return rng_
      .normal(stream(Purpose::pl_noise, Phase::g_reg, iteration), samples,
              {channels, resolution, resolution}, c10::typeMetaToScalarType(options_.dtype()))
      .to(options_);
}

int64_t Draws::label_item(Phase phase, int64_t iteration, int64_t sample, int64_t items) const {
  return static_cast<int64_t>(rng_.below(stream(Purpose::label, phase, iteration),
                                         static_cast<uint32_t>(sample),
                                         static_cast<uint64_t>(items)));
}

at::Tensor Draws::grid_latents(int64_t first, int64_t count, int64_t z_dim) const {
  std::vector<int64_t> cells(static_cast<size_t>(count));
  std::iota(cells.begin(), cells.end(), first);
  return rng_
      .normal(stream(Purpose::grid, Phase::none, 0), cells, {z_dim},
              c10::typeMetaToScalarType(options_.dtype()))
      .to(options_);
}

}  // namespace galette
