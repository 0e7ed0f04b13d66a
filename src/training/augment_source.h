// SPDX-License-Identifier: Apache-2.0
// The random numbers of augmentation, by what they are for. Training takes them from the stateless
// streams of a run, so that they depend on the sample alone; a check may replay recorded ones.
#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "base/sample_rng.h"

namespace galette {

/// What one augmentation draws, in the order in which it acts. The values are part of the file
/// format: a run continues with the same ones.
enum class AugmentStep : uint16_t {
  xflip = 0,
  rotate90 = 1,
  xint = 2,
  scale = 3,
  pre_rotation = 4,
  aniso = 5,
  post_rotation = 6,
  xfrac = 7,
  brightness = 8,
  contrast = 9,
  lumaflip = 10,
  hue = 11,
  saturation = 12,
  imgfilter = 13,  ///< and 14, 15, 16: one for each band
  noise = 17,
  cutout = 18,
};

class AugmentSource {
 public:
  virtual ~AugmentSource() = default;

  /// Uniform in [0, 1): a step is applied to image `row` of the batch when this is below its
  /// probability.
  virtual double gate(AugmentStep step, int64_t row) const = 0;
  /// Number `k` of a step and an image: uniform in [0, 1), or standard normal.
  virtual double uniform(AugmentStep step, int64_t row, int64_t k) const = 0;
  virtual double normal(AugmentStep step, int64_t row, int64_t k) const = 0;
  /// Fills [C, H, W] with standard normals: the noise of an image.
  virtual void fill_noise(int64_t row, at::Tensor values) const = 0;
};

/// Draws of one evaluation of the discriminator in training.
class SampledAugmentSource : public AugmentSource {
 public:
  /// samples: the global sample of each image of the batch. A phase may judge generated and real
  /// images; they are augmented differently.
  SampledAugmentSource(const SampleRng& rng, Phase phase, int64_t iteration, bool real,
                       std::vector<int64_t> samples)
      : rng_(rng),
        phase_(phase),
        iteration_(static_cast<uint32_t>(iteration)),
        real_(real),
        samples_(std::move(samples)) {}

  double gate(AugmentStep step, int64_t row) const override;
  double uniform(AugmentStep step, int64_t row, int64_t k) const override;
  double normal(AugmentStep step, int64_t row, int64_t k) const override;
  void fill_noise(int64_t row, at::Tensor values) const override;

 private:
  uint32_t sample(int64_t row) const;
  Stream gates(AugmentStep step) const;
  Stream values(AugmentStep step) const;

  SampleRng rng_;
  Phase phase_;
  uint32_t iteration_;
  bool real_;
  std::vector<int64_t> samples_;
};

}  // namespace galette
