// SPDX-License-Identifier: Apache-2.0
#include "metrics/image_set.h"

#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "io/check.h"
#include "io/dataset_file.h"
#include "io/file_kind.h"
#include "io/image_source.h"

namespace galette {
namespace {

namespace fs = std::filesystem;

class DatasetImages final : public ImageSet {
 public:
  explicit DatasetImages(const std::string& path)
      : data_(io::Dataset::open(path, {.labels = false})) {}
  int64_t count() const override { return data_.size(); }
  at::Tensor images(const std::vector<int64_t>& numbers) override { return data_.images(numbers); }

 private:
  io::Dataset data_;
};

/// Images of a folder. Grey ones become RGB, since a folder may hold both.
class SourceImages final : public ImageSet {
 public:
  explicit SourceImages(const std::string& path)
      : path_(path), source_(io::open_image_source(path, std::nullopt)) {
    const auto [width, height] = source_->extent(0);
    width_ = width;
    height_ = height;
  }
  int64_t count() const override { return source_->size(); }
  at::Tensor images(const std::vector<int64_t>& numbers) override {
    const auto n = static_cast<int64_t>(numbers.size());
    at::Tensor result = at::empty({n, kChannels, height_, width_}, at::kByte);
    for (int64_t i = 0; i < n; ++i) load(numbers[static_cast<size_t>(i)], result[i]);
    return result;
  }

 private:
  static constexpr int64_t kChannels = 3;

  void load(int64_t number, const at::Tensor& chw) {
    const io::Image image = source_->load(number);
    if (image.width != width_ || image.height != height_) {
      throw InputError(fmt::format("{}/{}: the image is {}x{}, but the first one, {}, is {}x{}",
                                   path_, source_->name(number), image.width, image.height,
                                   source_->name(0), width_, height_));
    }
    at::Tensor planes = at::empty({image.channels, height_, width_}, at::kByte);
    io::to_planes(image, planes.data_ptr<uint8_t>());
    chw.copy_(planes);  // one plane is copied to all three
  }

  std::string path_;
  std::unique_ptr<io::ImageSource> source_;
  int64_t width_ = 0, height_ = 0;
};

}  // namespace

std::unique_ptr<ImageSet> open_image_set(const std::string& path) {
  if (!fs::is_directory(path) && io::file_kind(path) == io::FileKind::hdf5) {
    return std::make_unique<DatasetImages>(path);
  }
  return std::make_unique<SourceImages>(path);
}

}  // namespace galette
