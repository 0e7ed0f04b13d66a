// SPDX-License-Identifier: Apache-2.0
// Images that a metric looks at, by number: those of a dataset, of a folder or archive, or those
// that a generator makes. Every rank has its own object and asks for its part of the images.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>

namespace galette {

class ImageSet {
 public:
  virtual ~ImageSet() = default;
  virtual int64_t count() const = 0;
  /// uint8 [n, C, H, W], C of 1 or 3.
  virtual at::Tensor images(const std::vector<int64_t>& numbers) = 0;
};

/// The images of a dataset file, a folder, a ZIP archive or another source of `galette dataset`, in
/// the order of their names, all of one size; they need not be square. Throws InputError that
/// begins with the path when there are none; images() throws InputError naming an image that cannot
/// be decoded or differs in size from the first.
std::unique_ptr<ImageSet> open_image_set(const std::string& path);

}  // namespace galette
