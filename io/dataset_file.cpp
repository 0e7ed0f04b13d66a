// SPDX-License-Identifier: Apache-2.0
#include "io/dataset_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "io/check.h"
#include "io/checksum.h"
#include "io/dataset_header.h"

namespace galette::io {
namespace {

void mirror_rows(uint8_t* image, int64_t rows, int64_t width) {
  for (int64_t y = 0; y < rows; ++y) std::reverse(image + y * width, image + (y + 1) * width);
}

}  // namespace

Dataset Dataset::open(const std::string& path, const DatasetView& view) {
  return Dataset(read_dataset_header(path), view);
}

Dataset::Dataset(DatasetHeader header, const DatasetView& view)
    : info_(std::move(header.info)),
      file_(info_.path, PositionalFile::Access::read),
      offset_(header.offset),
      checksums_(std::move(header.checksums)),
      labels_(std::move(header.labels)),
      items_(info_.num_images, view.max_size, view.seed, view.mirror),
      show_labels_(view.labels) {
  const int64_t bytes = info_.num_images * info_.image_bytes();
  file_.will_read(offset_, bytes, bytes <= view.cache_bytes);
}

void Dataset::read(int64_t item, uint8_t* chw) const {
  read_image(items_.raw_index(item), chw);
  if (items_.is_mirrored(item))
    mirror_rows(chw, info_.channels * info_.resolution, info_.resolution);
}

void Dataset::read_image(int64_t index, uint8_t* chw) const {
  file_.read(chw, info_.image_bytes(), offset_ + index * info_.image_bytes());
}

at::Tensor Dataset::label(int64_t item) const {
  const int64_t index = items_.raw_index(item);
  at::Tensor label = at::zeros({label_dim()});
  if (label_dim() == 0) return label;
  if (info_.label_kind == LabelKind::vectors) return label.copy_(labels_[index]);
  label.data_ptr<float>()[labels_.const_data_ptr<int64_t>()[index]] = 1;
  return label;
}

at::Tensor Dataset::images(const std::vector<int64_t>& items) const {
  at::Tensor result = at::empty(
      {static_cast<int64_t>(items.size()), info_.channels, info_.resolution, info_.resolution},
      at::kByte);
  auto* out = result.data_ptr<uint8_t>();
  for (const int64_t item : items) {
    read(item, out);
    out += info_.image_bytes();
  }
  return result;
}

at::Tensor Dataset::labels(const std::vector<int64_t>& items) const {
  at::Tensor result = at::empty({static_cast<int64_t>(items.size()), label_dim()});
  for (size_t i = 0; i < items.size(); ++i) result[static_cast<int64_t>(i)] = label(items[i]);
  return result;
}

void Dataset::verify() const {
  std::vector<uint8_t> image(static_cast<size_t>(info_.image_bytes()));
  const auto* expected = checksums_.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < info_.num_images; ++i) {
    read_image(i, image.data());
    if (int64_t{crc32c(image.data(), image.size())} != expected[i]) {
      throw DamagedFile(
          fmt::format("{}: damaged: image {} differs from its checksum", info_.path, i));
    }
  }
}

}  // namespace galette::io
