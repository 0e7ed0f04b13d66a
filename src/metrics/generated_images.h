// SPDX-License-Identifier: Apache-2.0
// What a generator makes of latents for metrics.
#pragma once

#include "metrics/image_set.h"
#include "metrics/metric_setup.h"

namespace galette {

class CrepsGenerator;

/// Pixels a side: floor(scale * resolution).
int64_t rendered_side(const MetricSetup& setup);

/// Images [n, C, S, S] of latents [n, num_ws, w_dim] at `setup.scale`, with random noise where the
/// network has any: that of sample s is a function of s and `set`, which tells metrics apart that
/// draw their own. Throws c10::Error for a scale other than 1 when the network is not a CREPS one.
at::Tensor render_samples(const MetricSetup& setup, const at::Tensor& ws,
                          const std::vector<int64_t>& samples, uint32_t set = 0);

/// A whole image of a CREPS network, `side` pixels wide, [1, C, side, side], of ws [1, num_ws,
/// w_dim].
at::Tensor creps_picture(const CrepsGenerator& g, const at::Tensor& ws, int64_t side);

/// The images of samples 0 ... count-1 as a detector is given them, floor(127.5 x + 128).
class GeneratedImages final : public ImageSet {
 public:
  /// `setup` must outlive this.
  GeneratedImages(const MetricSetup& setup, int64_t count) : setup_(setup), count_(count) {}
  int64_t count() const override { return count_; }
  at::Tensor images(const std::vector<int64_t>& samples) override;

 private:
  const MetricSetup& setup_;
  int64_t count_;
};

}  // namespace galette
