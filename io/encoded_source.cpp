// SPDX-License-Identifier: Apache-2.0
// Image files of a folder or a ZIP archive, with labels from dataset.json.
#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <string_view>

#include <fmt/format.h>

#include "io/check.h"
#include "io/file_set.h"
#include "io/image_source.h"

namespace galette::io {
namespace {

constexpr const char* kLabelFile = "dataset.json";

/// All formats that are images, so that one which is not decoded here is reported and not skipped.
bool is_image_name(const std::string& name) {
  static constexpr std::array<std::string_view, 10> kExtensions{
      ".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif"};
  std::string extension = std::filesystem::path(name).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

class EncodedSource : public ImageSource {
 public:
  EncodedSource(std::string path, std::unique_ptr<FileSet> files, std::optional<Color> background)
      : path_(std::move(path)), files_(std::move(files)), background_(background) {
    const auto& all = files_->names();
    std::copy_if(all.begin(), all.end(), std::back_inserter(names_), is_image_name);
    if (std::binary_search(all.begin(), all.end(), kLabelFile)) {
      labels_ = parse_labels(files_->read(kLabelFile), full_name(kLabelFile));
    }
  }

  std::string kind() const override { return files_->kind(); }
  int64_t size() const override { return static_cast<int64_t>(names_.size()); }
  std::string name(int64_t index) const override { return names_.at(size_t(index)); }

  ImageExtent extent(int64_t index) override {
    return image_extent(files_->read(name(index)), full_name(name(index)));
  }

  Image load(int64_t index) override {
    const Image image = decode_image(files_->read(name(index)), full_name(name(index)));
    if (image.has_alpha() && !background_) {
      throw InputError(fmt::format(
          "{}: has an alpha channel; choose what lies behind it with --background=white, black or "
          "R,G,B",
          full_name(name(index))));
    }
    return background_ ? composite(image, *background_) : image;
  }

  ImageLabel label(int64_t index) const override {
    const auto found = labels_.find(name(index));
    return found != labels_.end() ? found->second : ImageLabel{};
  }

 private:
  std::string full_name(const std::string& name) const { return path_ + "/" + name; }

  std::string path_;
  std::unique_ptr<FileSet> files_;
  std::optional<Color> background_;
  std::vector<std::string> names_;
  std::map<std::string, ImageLabel> labels_;
};

}  // namespace

std::unique_ptr<ImageSource> open_encoded_source(const std::string& path,
                                                 const std::optional<Color>& background) {
  auto files = std::filesystem::is_directory(path) ? open_folder(path) : open_zip(path);
  return std::make_unique<EncodedSource>(path, std::move(files), background);
}

}  // namespace galette::io
