// SPDX-License-Identifier: Apache-2.0
#include "cli/picture_plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "io/check.h"

namespace galette {
namespace {

std::vector<Picture> single_pictures(const std::vector<uint32_t>& seeds) {
  std::vector<Picture> pictures;
  for (const uint32_t seed : seeds)
    pictures.push_back({fmt::format("seed{:04d}", seed), 1, {Latent{seed, 0, 0, {}}}});
  return pictures;
}

std::vector<Picture> sheets(const std::vector<uint32_t>& seeds, const Extent& grid) {
  const auto cells = static_cast<size_t>(grid.width * grid.height);
  std::vector<Picture> pictures;
  for (size_t first = 0; first < seeds.size(); first += cells) {
    Picture sheet{fmt::format("grid{:04d}", pictures.size()), grid.width, {}};
    for (size_t i = first; i < std::min(first + cells, seeds.size()); ++i)
      sheet.cells.emplace_back(Latent{seeds[i], 0, 0, {}});
    sheet.cells.resize(cells);
    pictures.push_back(std::move(sheet));
  }
  return pictures;
}

Picture mixing_table(const PlanRequest& request) {
  Picture table{"mix", static_cast<int64_t>(request.mix_seeds.size()) + 1, {std::nullopt}};
  for (const uint32_t top : request.mix_seeds) table.cells.emplace_back(Latent{top, 0, 0, {}});
  for (const uint32_t left : request.seeds) {
    table.cells.emplace_back(Latent{left, 0, 0, {}});
    for (const uint32_t top : request.mix_seeds)
      table.cells.emplace_back(Latent{left, top, 0, request.mix_layers});
  }
  return table;
}

std::vector<Picture> frames(const std::vector<uint32_t>& seeds, int64_t steps) {
  if (seeds.size() < 2) throw InputError("--interpolate: needs at least two --seeds");
  std::vector<Picture> pictures;
  const auto add = [&](const Latent& latent) {
    pictures.push_back({fmt::format("frame{:06d}", pictures.size()), 1, {latent}});
  };
  for (size_t i = 0; i + 1 < seeds.size(); ++i)
    for (int64_t step = 0; step < steps; ++step)
      add({seeds[i], seeds[i + 1], static_cast<double>(step) / static_cast<double>(steps), {}});
  add({seeds.back(), 0, 0, {}});
  return pictures;
}

}  // namespace

std::vector<Picture> plan_pictures(const PlanRequest& request) {
  const int modes = int{request.grid.has_value()} + int{!request.mix_seeds.empty()} +
                    int{request.interpolate.has_value()};
  if (modes > 1)
    throw InputError("--grid, --style-mix, --interpolate: only one of them can be given");
  if (request.grid) return sheets(request.seeds, *request.grid);
  if (!request.mix_seeds.empty()) return {mixing_table(request)};
  if (request.interpolate) return frames(request.seeds, *request.interpolate);
  return single_pictures(request.seeds);
}

}  // namespace galette
