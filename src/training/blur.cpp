// SPDX-License-Identifier: Apache-2.0
#include "training/blur.h"

#include <algorithm>
#include <cmath>

#include "kernels/upfirdn2d.h"

namespace galette {
namespace {

int64_t radius_of(double sigma) {
  return static_cast<int64_t>(std::floor(3 * sigma));
}

}  // namespace

double blur_sigma(double start, double fade_kimg, int64_t images) {
  if (!(fade_kimg > 0)) return 0;
  return start * std::max(1 - static_cast<double>(images) / (1000 * fade_kimg), 0.0);
}

bool blurs(double sigma) {
  return radius_of(sigma) >= 1;
}

at::Tensor blur_images(const at::Tensor& images, double sigma) {
  if (!blurs(sigma)) return images;
  const int64_t radius = radius_of(sigma);
  const at::Tensor places = at::arange(-radius, radius + 1, at::kDouble) / sigma;
  const at::Tensor taps = (-places.square()).exp2();
  return filter2d(images, taps / taps.sum());
}

}  // namespace galette
