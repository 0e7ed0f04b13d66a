// SPDX-License-Identifier: Apache-2.0
#include "training/image_grid.h"

#include <algorithm>
#include <map>
#include <numeric>

#include <ATen/core/grad_mode.h>

#include "io/image_codec.h"
#include "io/legacy_random.h"

namespace galette {
namespace {

/// Items by label; labels are ordered by their elements from the last to the first.
std::vector<std::vector<int64_t>> items_by_label(const io::Dataset& data) {
  std::map<std::vector<float>, std::vector<int64_t>> groups;
  for (int64_t item = 0; item < data.size(); ++item) {
    const at::Tensor label = data.label(item);
    const float* values = label.const_data_ptr<float>();
    std::vector<float> key(values, values + label.numel());
    std::reverse(key.begin(), key.end());
    groups[key].push_back(item);
  }
  std::vector<std::vector<int64_t>> result;
  for (auto& [key, items] : groups) result.push_back(std::move(items));
  return result;
}

std::vector<int64_t> labelled_items(const io::Dataset& data, const GridSize& size) {
  io::LegacyRandom random(0);
  std::vector<std::vector<int64_t>> groups = items_by_label(data);
  for (std::vector<int64_t>& group : groups) random.shuffle(std::span(group));
  std::vector<int64_t> result;
  for (int64_t y = 0; y < size.rows; ++y) {
    std::vector<int64_t>& group = groups[static_cast<size_t>(y) % groups.size()];
    for (int64_t x = 0; x < size.columns; ++x) {
      result.push_back(group[static_cast<size_t>(x) % group.size()]);
    }
    // The next row of this label goes on where this one ended.
    const auto shift = size.columns % static_cast<int64_t>(group.size());
    std::rotate(group.begin(), group.begin() + shift, group.end());
  }
  return result;
}

/// Network output in [-1, 1] to bytes, rounded half to even.
at::Tensor to_bytes(const at::Tensor& images) {
  return images.add(1).mul_(127.5).round_().clamp_(0, 255).to(at::kByte);
}

}  // namespace

GridSize grid_size(int64_t resolution) {
  return {std::clamp<int64_t>(7680 / resolution, 7, 32),
          std::clamp<int64_t>(4320 / resolution, 4, 32)};
}

std::vector<int64_t> grid_items(const io::Dataset& data, const GridSize& size) {
  if (data.label_dim() > 0) return labelled_items(data, size);
  io::LegacyRandom random(0);
  std::vector<int64_t> all(static_cast<size_t>(data.size()));
  std::iota(all.begin(), all.end(), 0);
  random.shuffle(std::span(all));
  std::vector<int64_t> result;
  for (int64_t cell = 0; cell < size.cells(); ++cell) {
    result.push_back(all[static_cast<size_t>(cell) % all.size()]);
  }
  return result;
}

ImageGrid::ImageGrid(const io::Dataset& data, const Draws& draws, const Generator& g)
    : data_(data),
      size_(grid_size(data.info().resolution)),
      items_(grid_items(data, size_)),
      z_(draws.grid_latents(0, size_.cells(), g.z_dim())),
      c_(data.labels(items_).to(g.arena().options())) {}

void ImageGrid::write_reals(const std::string& path) const {
  io::write_png(path, tile_images(data_.images(items_), size_));
}

void ImageGrid::write_fakes(const std::string& path, const Generator& g, Communicator& comm,
                            int64_t batch) const {
  const at::NoGradGuard no_grad;
  const int64_t cells = size_.cells(), share = (cells + comm.size() - 1) / comm.size();
  const int64_t first = std::min(cells, comm.rank() * share), last = std::min(cells, first + share);
  const int64_t r = g.img_resolution();
  at::Tensor own = at::zeros({share, g.img_channels(), r, r}, at::kByte);
  for (int64_t begin = first; begin < last; begin += batch) {
    const int64_t count = std::min(batch, last - begin);
    const at::Tensor w = g.map(z_.narrow(0, begin, count), c_.narrow(0, begin, count));
    own.narrow(0, begin - first, count).copy_(to_bytes(g.synthesize(g.broadcast(w))));
  }
  at::Tensor all = at::empty({share * comm.size(), g.img_channels(), r, r}, at::kByte);
  comm.all_gather(own, all);
  if (comm.rank() == 0) io::write_png(path, tile_images(all.narrow(0, 0, cells), size_));
}

io::Image tile_images(const at::Tensor& images, const GridSize& size) {
  const int64_t channels = images.size(1), r = images.size(2);
  // [rows, columns, C, R, R] -> [rows, R, columns, R, C]
  const at::Tensor sheet =
      images.view({size.rows, size.columns, channels, r, r}).permute({0, 3, 1, 4, 2}).contiguous();
  io::Image picture(static_cast<int>(size.columns * r), static_cast<int>(size.rows * r),
                    static_cast<int>(channels));
  std::copy_n(sheet.const_data_ptr<uint8_t>(), picture.pixels.size(), picture.pixels.data());
  return picture;
}

}  // namespace galette
