// SPDX-License-Identifier: Apache-2.0
// Peak signal-to-noise ratio of images whose values span [-1, 1].
#pragma once

#include <cmath>

#include <ATen/ATen.h>

namespace galette {

/// Sums in double precision; those of parts of a set may be added.
struct SquaredError {
  double squares = 0;
  double weights = 0;

  /// Images [N, C, H, W] of any type; `mask` float64 [H, W] holds for all of them.
  void add(const at::Tensor& reference, const at::Tensor& image, const at::Tensor& mask) {
    const at::Tensor error = reference.to(at::kDouble) - image.to(at::kDouble);
    squares += (error.square() * mask).sum().item<double>();
    weights +=
        mask.sum().item<double>() * static_cast<double>(reference.size(0) * reference.size(1));
  }
  /// 20 log10(2) - 10 log10(mean square) in dB; infinite without any error, NaN without weights.
  double psnr() const { return 20 * std::log10(2.0) - 10 * std::log10(squares / weights); }
};

}  // namespace galette
