// SPDX-License-Identifier: Apache-2.0
// The sheet of sample images that a run writes: one cell per fixed latent, beside the same sheet of
// real images.
#pragma once

#include <string>
#include <vector>

#include "io/dataset_file.h"
#include "io/image.h"
#include "models/network.h"
#include "parallel/communicator.h"
#include "training/draws.h"

namespace galette {

struct GridSize {
  int64_t columns = 0;
  int64_t rows = 0;
  int64_t cells() const { return columns * rows; }
};

/// As many cells as fill about 7680x4320 pixels, within 7..32 columns and 4..32 rows.
GridSize grid_size(int64_t resolution);

/// The dataset items shown in the cells, row by row: shuffled, or with labels one class per row.
std::vector<int64_t> grid_items(const io::Dataset& data, const GridSize& size);

class ImageGrid {
 public:
  /// The labels of the cells are those of the shown real images.
  ImageGrid(const io::Dataset& data, const Draws& draws, const Generator& g);

  /// reals.png. On one rank.
  void write_reals(const std::string& path) const;
  /// The images of a generator for the fixed latents, shared among the ranks and written by rank 0;
  /// `batch` images at a time. Collective.
  void write_fakes(const std::string& path, const Generator& g, Communicator& comm,
                   int64_t batch) const;

 private:
  const io::Dataset& data_;
  GridSize size_;
  std::vector<int64_t> items_;
  at::Tensor z_, c_;
};

/// Tiles uint8 images [cells, C, R, R] into one picture.
io::Image tile_images(const at::Tensor& images, const GridSize& size);

}  // namespace galette
