// SPDX-License-Identifier: Apache-2.0
// The images whose spectrum is asked for: those of a dataset, or those that a network makes.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <ATen/ATen.h>

namespace galette {

class SpectrumImages {
 public:
  virtual ~SpectrumImages() = default;
  virtual int64_t count() const = 0;
  /// Side of the images.
  virtual int64_t size() const = 0;
  /// uint8 [C, size, size] on the host; the same on every rank.
  virtual at::Tensor image(int64_t index) const = 0;
};

/// What `--source`, `--num`, `--seed` and `--scale` ask for.
struct SpectrumSource {
  std::string path;
  std::optional<int64_t> num;  ///< a dataset has its own
  uint32_t seed = 0;           ///< of a dataset's subset, or of a network's first image
  std::optional<double> scale;
  at::Device device = at::kCPU;  ///< of a network
};

/// A dataset's images, all or a random subset of `num`. Or `num` images of the network G_ema, the
/// one of seed + i, of a class drawn from the same seed where there are classes, not truncated.
/// Throws InputError when the file is neither, or there are too few images.
std::unique_ptr<SpectrumImages> open_spectrum_images(const SpectrumSource& source);

}  // namespace galette
