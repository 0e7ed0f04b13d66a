// SPDX-License-Identifier: Apache-2.0
// IDX files, the format of MNIST and its relatives, compressed with gzip or not: bytes 0, 0, type
// (8: uint8), number of axes; each axis as a big-endian 32-bit number; the elements. Images
// [N, H, W] lie in NAME-images-idx3-ubyte, their classes [N] in NAME-labels-idx1-ubyte beside it.
// Images of 28x28 get a black margin of 2, as is the custom, and so a power of two as side.
#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "io/gzip_reader.h"
#include "io/image_source.h"

namespace galette::io {
namespace {

constexpr const char* kImages = "-images-idx3-ubyte";
constexpr const char* kLabels = "-labels-idx1-ubyte";
constexpr int kUnpaddedSide = 28, kMargin = 2;
constexpr int64_t kMaxBytes = int64_t{1} << 34;

/// The elements of a uint8 array; sets its axes.
std::vector<uint8_t> read_array(GzipReader& file, size_t axes, std::vector<int64_t>& shape) {
  std::array<uint8_t, 4> head{};
  file.fill(head);
  if (head[0] != 0 || head[1] != 0 || head[2] != 8 || head[3] != axes)
    file.fail(fmt::format("not an IDX file of bytes with {} axes", axes));
  int64_t bytes = 1;
  for (size_t axis = 0; axis < axes; ++axis) {
    file.fill(head);
    shape.push_back(int64_t{head[0]} << 24 | head[1] << 16 | head[2] << 8 | head[3]);
    if (__builtin_mul_overflow(bytes, shape.back(), &bytes) || bytes > kMaxBytes)
      file.fail("its axes are too long");
  }
  std::vector<uint8_t> elements;
  constexpr int64_t kStep = int64_t{1} << 24;  // a lie about the size costs no more memory
  while (static_cast<int64_t>(elements.size()) < bytes) {
    const size_t old = elements.size();
    elements.resize(static_cast<size_t>(std::min(bytes, static_cast<int64_t>(old) + kStep)));
    file.fill(std::span(elements).subspan(old));
  }
  if (!file.at_end()) file.fail("it goes on after its last element");
  return elements;
}

class IdxSource : public ImageSource {
 public:
  explicit IdxSource(const std::string& path) {
    std::vector<int64_t> shape;
    GzipReader file(path);
    pixels_ = read_array(file, 3, shape);
    count_ = shape[0];
    if (shape[1] > INT16_MAX || shape[2] > INT16_MAX) file.fail("its images are too large");
    height_ = static_cast<int>(shape[1]), width_ = static_cast<int>(shape[2]);
    margin_ = height_ == kUnpaddedSide && width_ == kUnpaddedSide ? kMargin : 0;
    read_labels(path);
  }

  std::string kind() const override { return "idx"; }
  int64_t size() const override { return count_; }
  std::string name(int64_t index) const override { return fmt::format("{:08d}", index); }
  ImageExtent extent(int64_t /*index*/) override {
    return {width_ + 2 * margin_, height_ + 2 * margin_};
  }

  Image load(int64_t index) override {
    Image image(width_ + 2 * margin_, height_ + 2 * margin_, 1);
    const uint8_t* in = pixels_.data() + size_t(index) * size_t(height_) * size_t(width_);
    for (int y = 0; y < height_; ++y, in += width_)
      std::copy_n(in, width_, image.row(y + margin_) + margin_);
    return image;
  }

  ImageLabel label(int64_t index) const override {
    return labels_.empty() ? ImageLabel{} : ImageLabel{int64_t{labels_.at(size_t(index))}};
  }

 private:
  /// Of the file beside the images, if there is one.
  void read_labels(std::string path) {
    const size_t at = path.rfind(kImages);
    path.replace(at, std::string_view(kImages).size(), kLabels);
    if (!std::filesystem::exists(path)) return;
    std::vector<int64_t> shape;
    GzipReader file(path);
    labels_ = read_array(file, 1, shape);
    if (shape[0] != count_)
      file.fail(fmt::format("holds {} labels for {} images", shape[0], count_));
  }

  std::vector<uint8_t> pixels_, labels_;
  int64_t count_ = 0;
  int width_ = 0, height_ = 0, margin_ = 0;
};

}  // namespace

bool is_idx_name(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename().string();
  return name.ends_with(kImages) || name.ends_with(std::string(kImages) + ".gz");
}

std::unique_ptr<ImageSource> open_idx_source(const std::string& path) {
  return std::make_unique<IdxSource>(path);
}

}  // namespace galette::io
