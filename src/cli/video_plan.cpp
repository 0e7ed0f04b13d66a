// SPDX-License-Identifier: Apache-2.0
#include "cli/video_plan.h"

#include <cmath>
#include <span>

#include <fmt/format.h>

#include "io/check.h"
#include "io/legacy_random.h"

namespace galette {
namespace {

constexpr int64_t kMostCells = 10'000, kMostLatents = 1'000'000;

int64_t count_cells(const Extent& grid) {
  if (grid.width > kMostCells || grid.height > kMostCells || grid.width * grid.height > kMostCells)
    throw InputError(
        fmt::format("--grid={}x{}: more than {} cells", grid.width, grid.height, kMostCells));
  return grid.width * grid.height;
}

int64_t count_keyframes(const VideoRequest& request, int64_t cells) {
  if (request.keyframes) return *request.keyframes;
  const auto seeds = static_cast<int64_t>(request.seeds.size());
  if (seeds % cells != 0)
    throw InputError(
        fmt::format("--seeds: {} of them are no multiple of the {} cells of --grid; give other "
                    "seeds, or --num-keyframes",
                    seeds, cells));
  return seeds / cells;
}

}  // namespace

VideoPlan plan_video(const VideoRequest& request) {
  const int64_t cells = count_cells(request.grid);
  const int64_t keyframes = count_keyframes(request, cells);
  if (keyframes > kMostLatents / cells)
    throw InputError(fmt::format("--num-keyframes={}: more than {} latents in all cells", keyframes,
                                 kMostLatents));
  std::vector<uint32_t> seeds(static_cast<size_t>(cells * keyframes));
  for (size_t i = 0; i < seeds.size(); ++i) seeds[i] = request.seeds[i % request.seeds.size()];
  if (request.shuffle_seed)
    io::LegacyRandom(*request.shuffle_seed).shuffle(std::span<uint32_t>(seeds));
  VideoPlan plan{request.grid, {}, request.w_frames};
  for (auto first = seeds.begin(); first != seeds.end(); first += keyframes)
    plan.cells.emplace_back(first, first + keyframes);
  return plan;
}

std::array<double, 4> Zoom::region(double progress) const {
  const double side = std::pow(factor, -progress);
  const double x0 = point[0] * (1 - side), y0 = point[1] * (1 - side);
  return {x0, y0, x0 + side, y0 + side};
}

}  // namespace galette
