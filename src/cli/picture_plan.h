// SPDX-License-Identifier: Apache-2.0
// Which pictures `galette generate` writes, and which latents they show.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/latents.h"
#include "cli/number_text.h"

namespace galette {

/// One image, or a sheet of several: cells row by row, empty ones black.
struct Picture {
  std::string name;  ///< of the file, without its suffix
  int64_t columns = 1;
  std::vector<std::optional<Latent>> cells;

  int64_t rows() const { return (static_cast<int64_t>(cells.size()) + columns - 1) / columns; }
};

/// What is asked for; at most one of the last three.
struct PlanRequest {
  std::vector<uint32_t> seeds;
  std::optional<Extent> grid;          ///< sheets of so many columns and rows
  std::vector<uint32_t> mix_seeds;     ///< style mixing with these
  std::vector<uint32_t> mix_layers;    ///< the layers that are taken from them
  std::optional<int64_t> interpolate;  ///< frames from one seed to the next
};

/// seed%04d per seed; grid%04d per sheet; mix, with the images of `mix_seeds` on top and those of
/// `seeds` on the left; frame%06d from the first seed to the last. Throws InputError when the
/// request contradicts itself.
std::vector<Picture> plan_pictures(const PlanRequest& request);

}  // namespace galette
