// SPDX-License-Identifier: Apache-2.0
// Resampling with the Lanczos filter of three lobes, widened when shrinking, in 8 bits: columns
// first, then rows, rounding to bytes in between, weights in 22-bit fixed point. The arithmetic is
// that of the common imaging libraries, so datasets prepared with them have the same bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "io/image.h"

namespace galette::io {

/// The picture at exactly width x height; its aspect is not kept. An axis whose size does not
/// change is left alone. For pictures without alpha.
Image resize_lanczos(const Image& image, int width, int height);

enum class Transform { none, center_crop, center_crop_wide };

/// The name of a transform as on the command line, and back; throws InputError on an unknown name.
std::string transform_name(Transform transform);
Transform parse_transform(const std::string& name);

struct Resolution {
  int width = 0;
  int height = 0;
};

/// Whether a picture of this size passes; center_crop_wide drops those that it would enlarge.
bool transform_keeps(Transform transform, const std::optional<Resolution>& target, int width,
                     int height);

/// none: stretch to the target, if there is one. center_crop: the largest centred square, resized.
/// center_crop_wide: full width and the rows that the target's width asks for, resized and centred
/// on a black square of the target's width. The last two need a target; see transform_keeps.
Image apply_transform(Transform transform, const std::optional<Resolution>& target,
                      const Image& image);

}  // namespace galette::io
