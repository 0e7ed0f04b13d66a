// SPDX-License-Identifier: Apache-2.0
// What a video shows: which seeds in which cell, and which part of the image plane in which frame.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "cli/number_text.h"

namespace galette {

/// What is asked for.
struct VideoRequest {
  std::vector<uint32_t> seeds;
  std::optional<uint32_t> shuffle_seed;
  Extent grid{1, 1};
  std::optional<int64_t> keyframes;  ///< per cell; without it, as many as the seeds are good for
  int64_t w_frames = 120;            ///< from one keyframe to the next
};

struct VideoPlan {
  Extent grid;
  std::vector<std::vector<uint32_t>> cells;  ///< the seeds of each, row by row
  int64_t w_frames = 1;

  int64_t keyframes() const { return static_cast<int64_t>(cells[0].size()); }
  int64_t frames() const { return keyframes() * w_frames; }
};

/// The seeds, repeated as often as needed and then shuffled as NumPy's RandomState(shuffle_seed)
/// does, are dealt to the cells: the keyframes of the first, of the second, and so on. Throws
/// InputError when there are too many, or, without `keyframes`, no multiple of the cells.
VideoPlan plan_video(const VideoRequest& request);

/// A way into the image plane: the magnification goes from 1 to `factor`, by the same factor in
/// every frame, and the point (x, y) of the unit square keeps its place in the picture.
struct Zoom {
  double factor = 1;
  std::array<double, 2> point{0.5, 0.5};

  /// The region x0, y0, x1, y1 of the unit square when so much (0 to 1) of the way is gone.
  std::array<double, 4> region(double progress) const;
};

}  // namespace galette
