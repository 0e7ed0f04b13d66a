// SPDX-License-Identifier: Apache-2.0
#include "io/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include <fmt/format.h>

#include "io/check.h"

namespace galette::io {
namespace {

constexpr int kFractionBits = 22;
constexpr double kLobes = 3;

double sinc(double x) {
  if (x == 0) return 1;
  const double angle = std::numbers::pi * x;
  return std::sin(angle) / angle;
}

double lanczos(double x) {
  return std::abs(x) < kLobes ? sinc(x) * sinc(x / kLobes) : 0;
}

/// The input samples [first, first + weights.size()) of one output sample, in fixed point.
struct Taps {
  int first = 0;
  std::vector<int32_t> weights;
};

int32_t to_fixed(double weight) {
  return static_cast<int32_t>(std::lround(weight * (1 << kFractionBits)));
}

Taps make_taps(int in, int out, int index) {
  const double scale = double(in) / out;
  const double widening = std::max(scale, 1.0);
  const double support = kLobes * widening;
  const double centre = (index + 0.5) * scale;
  Taps taps;
  taps.first = static_cast<int>(std::max(centre - support + 0.5, 0.0));
  const int end = static_cast<int>(std::min(centre + support + 0.5, double(in)));
  std::vector<double> weights;
  double sum = 0;
  for (int k = taps.first; k < end; ++k) {
    weights.push_back(lanczos((k - centre + 0.5) * (1.0 / widening)));
    sum += weights.back();
  }
  for (const double weight : weights) taps.weights.push_back(to_fixed(weight / sum));
  return taps;
}

std::vector<Taps> make_all_taps(int in, int out) {
  std::vector<Taps> all;
  for (int i = 0; i < out; ++i) all.push_back(make_taps(in, out, i));
  return all;
}

/// The weighted sum of samples `step` bytes apart.
uint8_t weigh(const Taps& taps, const uint8_t* samples, size_t step) {
  int32_t sum = 1 << (kFractionBits - 1);
  const uint8_t* sample = samples + size_t(taps.first) * step;
  for (const int32_t weight : taps.weights) {
    sum += weight * *sample;
    sample += step;
  }
  return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

Image resize_columns(const Image& image, int width) {
  const std::vector<Taps> taps = make_all_taps(image.width, width);
  Image result(width, image.height, image.channels);
  const auto channels = size_t(image.channels);
  for (int y = 0; y < image.height; ++y) {
    uint8_t* out = result.row(y);
    for (const Taps& t : taps) {
      for (size_t c = 0; c < channels; ++c) *out++ = weigh(t, image.row(y) + c, channels);
    }
  }
  return result;
}

Image resize_rows(const Image& image, int height) {
  const std::vector<Taps> taps = make_all_taps(image.height, height);
  Image result(image.width, height, image.channels);
  for (int y = 0; y < height; ++y) {
    uint8_t* out = result.row(y);
    for (size_t x = 0; x < image.stride(); ++x) {
      out[x] = weigh(taps[size_t(y)], image.pixels.data() + x, image.stride());
    }
  }
  return result;
}

Image crop(const Image& image, int left, int top, int width, int height) {
  Image result(width, height, image.channels);
  for (int y = 0; y < height; ++y) {
    std::memcpy(result.row(y), image.row(top + y) + size_t(left) * size_t(image.channels),
                result.stride());
  }
  return result;
}

/// Rows that a width of `target` stands for in a picture of width x height; ties go to even.
int wide_rows(int target, int width, int height) {
  return static_cast<int>(std::nearbyint(double(target) * height / width));
}

Image center_crop_square(const Image& image, const Resolution& target) {
  const int side = std::min(image.width, image.height);
  const Image square = crop(image, (image.width - side) / 2, (image.height - side) / 2, side, side);
  return resize_lanczos(square, target.width, target.height);
}

Image center_crop_wide(const Image& image, const Resolution& target) {
  const int rows = wide_rows(target.width, image.width, image.height);
  const Image band = resize_lanczos(crop(image, 0, (image.height - rows) / 2, image.width, rows),
                                    target.width, target.height);
  Image square(target.width, target.width, image.channels);
  std::copy(band.pixels.begin(), band.pixels.end(), square.row((target.width - target.height) / 2));
  return square;
}

}  // namespace

Image resize_lanczos(const Image& image, int width, int height) {
  if (width == image.width && height == image.height) return image;
  if (width == image.width) return resize_rows(image, height);
  const Image narrow = resize_columns(image, width);
  return height == image.height ? narrow : resize_rows(narrow, height);
}

std::string transform_name(Transform transform) {
  switch (transform) {
    case Transform::none:
      return "none";
    case Transform::center_crop:
      return "center-crop";
    case Transform::center_crop_wide:
      return "center-crop-wide";
  }
  throw std::logic_error("unknown transform");
}

Transform parse_transform(const std::string& name) {
  for (const Transform t : {Transform::none, Transform::center_crop, Transform::center_crop_wide}) {
    if (transform_name(t) == name) return t;
  }
  throw InputError(
      fmt::format("--transform={}: unknown; use none, center-crop or center-crop-wide", name));
}

bool transform_keeps(Transform transform, const std::optional<Resolution>& target, int width,
                     int height) {
  if (transform != Transform::center_crop_wide) return true;
  return width >= target->width && wide_rows(target->width, width, height) >= target->height;
}

Image apply_transform(Transform transform, const std::optional<Resolution>& target,
                      const Image& image) {
  if (transform == Transform::center_crop) return center_crop_square(image, *target);
  if (transform == Transform::center_crop_wide) return center_crop_wide(image, *target);
  return target ? resize_lanczos(image, target->width, target->height) : image;
}

}  // namespace galette::io
