// SPDX-License-Identifier: Apache-2.0
#include "io/image_source.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>

#include "io/check.h"

namespace galette::io {
namespace {

constexpr Color kWhite{255, 255, 255};
constexpr Color kBlack{0, 0, 0};

std::string lower_extension(const std::string& path) {
  std::string extension = std::filesystem::path(path).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

std::unique_ptr<ImageSource> open_any(const std::string& path,
                                      const std::optional<Color>& background) {
  if (!std::filesystem::exists(path)) {
    throw InputError(fmt::format("--source={}: there is no such file or folder", path));
  }
  const std::string extension = lower_extension(path);
  if (std::filesystem::is_directory(path) || extension == ".zip") {
    return open_encoded_source(path, background);
  }
  if (extension == ".ttf" || extension == ".otf") {
    return open_font_source(path, background.value_or(kWhite));
  }
  if (is_idx_name(path)) return open_idx_source(path);
  if (is_cifar_name(path)) return open_cifar_source(path);
  throw InputError(fmt::format(
      "--source={}: not a kind of source; give a folder, a .zip archive, a .ttf font or "
      "a file named *-images-idx3-ubyte.gz",
      path));
}

}  // namespace

std::unique_ptr<ImageSource> open_image_source(const std::string& path,
                                               const std::optional<Color>& background) {
  auto source = open_any(path, background);
  if (source->size() == 0) {
    throw InputError(fmt::format("--source={}: holds no images", path));
  }
  return source;
}

Color parse_color(const std::string& text) {
  if (text == "white") return kWhite;
  if (text == "black") return kBlack;
  unsigned red = 0, green = 0, blue = 0;
  char rest = 0;
  const int fields = std::sscanf(text.c_str(), "%3u,%3u,%3u%c", &red, &green, &blue, &rest);
  if (fields != 3 || std::max({red, green, blue}) > 255) {
    throw InputError(fmt::format(
        "--background={}: not a colour; use white, black or R,G,B with values 0 to 255", text));
  }
  return {uint8_t(red), uint8_t(green), uint8_t(blue)};
}

}  // namespace galette::io
