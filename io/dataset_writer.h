// SPDX-License-Identifier: Apache-2.0
// Writes dataset files (dataset_file.h): first the place for the images, which any number of ranks
// then fill, at last everything that is known only after that.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/image.h"
#include "io/image_labels.h"

namespace galette::io {

/// Sums over all pixels of each channel, exact in any order of adding.
struct PixelSums {
  std::vector<uint64_t> sum;     ///< [C]
  std::vector<uint64_t> square;  ///< [C]

  explicit PixelSums(int channels) : sum(size_t(channels)), square(size_t(channels)) {}
  /// Adds an image given as planes of `plane` pixels.
  void add(const uint8_t* planes, size_t plane);
};

/// What a finished dataset says about its images, apart from their pixels.
struct DatasetContents {
  ImageShape shape;
  std::vector<uint32_t> checksums;  ///< one per image, as the next two
  std::vector<std::string> names;
  std::vector<ImageLabel> labels;  ///< all of one kind, or empty
  PixelSums sums{0};
  std::string name;
  std::map<std::string, std::string> origin;  ///< further attributes of the root
  std::map<std::string, int64_t> counts;      ///< likewise
};

/// Creates the file with room for `count` images and returns the byte offset of the first.
int64_t create_dataset_file(const std::string& path, int64_t count, const ImageShape& shape);

/// Completes a file whose images are written.
void finish_dataset_file(const std::string& path, const DatasetContents& contents);

}  // namespace galette::io
