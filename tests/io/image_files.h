// SPDX-License-Identifier: Apache-2.0
// Pictures, archives and files for the tests of what reads them.
#pragma once

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <jpeglib.h>
#include <zip.h>

#include "io/check.h"
#include "io/file_util.h"
#include "io/image_codec.h"
#include "io/png_codec.h"

namespace galette::io::testing {

using Bytes = std::vector<uint8_t>;

/// A picture without two equal rows or columns; `seed` tells pictures apart.
inline Image sample_image(int width, int height, int channels, int seed = 0) {
  Image image(width, height, channels);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.row(y)[x * channels + c] =
            static_cast<uint8_t>(x * 37 + y * 91 + c * 53 + x * y * 7 + seed * 11);
  return image;
}

/// A JPEG of an image whose channels are given in `color`; stored as `stored`.
inline Bytes encode_jpeg(const Image& image, J_COLOR_SPACE color, J_COLOR_SPACE stored) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &data, &size);
  jpeg.image_width = JDIMENSION(image.width);
  jpeg.image_height = JDIMENSION(image.height);
  jpeg.input_components = image.channels;
  jpeg.in_color_space = color;
  jpeg_set_defaults(&jpeg);
  jpeg_set_colorspace(&jpeg, stored);
  jpeg_set_quality(&jpeg, 100, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  for (int y = 0; y < image.height; ++y) {
    auto* row = const_cast<uint8_t*>(image.row(y));
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  const Bytes bytes(data, data + size);
  jpeg_destroy_compress(&jpeg);
  std::free(data);
  return bytes;
}

inline Bytes to_bytes(const std::string& text) {
  return {text.begin(), text.end()};
}

/// Writes files below a folder, which is made.
inline void write_files(const std::string& folder, const std::map<std::string, Bytes>& files) {
  std::filesystem::create_directories(folder);
  for (const auto& [name, bytes] : files) {
    const std::filesystem::path path = std::filesystem::path(folder) / name;
    std::filesystem::create_directories(path.parent_path());
    write_file(path.string(), bytes);
  }
}

inline void write_zip(const std::string& path, const std::map<std::string, Bytes>& files) {
  int code = 0;
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  ASSERT_NE(archive, nullptr);
  for (const auto& [name, bytes] : files) {
    zip_source_t* source = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    ASSERT_GE(zip_file_add(archive, name.c_str(), source, 0), 0);
  }
  ASSERT_EQ(zip_close(archive), 0) << zip_strerror(archive);
}

/// The message of the InputError that `action` throws, which must be one line.
inline std::string input_error(const std::function<void()>& action) {
  try {
    action();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), ::testing::Not(::testing::HasSubstr("\n")));
    return error.what();
  }
  ADD_FAILURE() << "no InputError was thrown";
  return "";
}

}  // namespace galette::io::testing
