// SPDX-License-Identifier: Apache-2.0
#include "cli/image_maker.h"

#include <cmath>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "io/check.h"
#include "kernels/upload.h"
#include "models/stylegan3.h"

namespace galette {
namespace {

constexpr double kMostPixels = 1 << 24;  // of a side

[[noreturn]] void refuse(const char* option, const char* family) {
  throw InputError(fmt::format("--{}: works with {} networks only; leave it out", option, family));
}

void check_options(const ImageRequest& r, bool is_creps, bool is_stylegan3) {
  if (!is_creps) {
    if (r.scale) refuse("scale", "CREPS");
    if (r.size) refuse("size", "CREPS");
    if (r.region) refuse("region", "CREPS");
    if (r.tile) refuse("tile", "CREPS");
  }
  if (!is_stylegan3) {
    if (r.translate) refuse("translate", "StyleGAN3");
    if (r.rotate) refuse("rotate", "StyleGAN3");
  }
  if (r.scale && r.size) throw InputError("--scale, --size: only one of them can be given");
}

/// The side at a scale, truncated as the published program does.
int64_t scaled_side(int64_t resolution, double scale) {
  const double side = static_cast<double>(resolution) * scale;
  if (!(side >= 1) || side > kMostPixels)
    throw InputError(
        fmt::format("--scale={}: the image would be {:.4g} pixels wide; 1 to {} are "
                    "possible",
                    scale, std::floor(side), kMostPixels));
  return static_cast<int64_t>(side);
}

/// With a size the region gets that many pixels, from its one end to the other. Without one it
/// picks the pixels of the whole image whose coordinates lie in it; a single one is stretched too.
PixelAxis make_axis(int64_t points, double from, double to, bool has_size) {
  if (!(from < to))
    throw InputError(fmt::format("--region: its end {} is not beyond its start {}", to, from));
  if (has_size || points == 1) return {points, 0, points, from, to};
  const auto intervals = static_cast<double>(std::max<int64_t>(points - 1, 1));
  const double first = std::ceil(from * intervals), last = std::floor(to * intervals);
  if (last - first + 1 > kMostPixels || std::abs(first) > kMostPixels)
    throw InputError(fmt::format("--region: more than {} pixels", kMostPixels));
  PixelAxis axis;
  axis.points = points;
  axis.first = static_cast<int64_t>(first);
  axis.count = static_cast<int64_t>(last - first) + 1;
  if (axis.count < 1)
    throw InputError(fmt::format(
        "--region: no pixel lies between {} and {} at this scale; give --size=WxH", from, to));
  return axis;
}

void set_transform(const StyleGan3Generator& g, const ImageRequest& r) {
  const auto [x, y] = r.translate.value_or(std::array<double, 2>{0, 0});
  const at::NoGradGuard no_grad;
  g.transform().copy_(StyleGan3Generator::inverse_transform(r.rotate.value_or(0), x, y));
}

/// float [C, h, W] on any device -> int32 [h, W, C] on the host.
at::Tensor to_levels(const at::Tensor& pixels, int maximum) {
  const double half = maximum / 2.0;
  return pixels.mul(half)
      .add_(std::ceil(half))
      .clamp_(0, maximum)
      .to(at::kInt)
      .permute({1, 2, 0})
      .contiguous()
      .cpu();
}

}  // namespace

ImageMaker::ImageMaker(Generator& g, const ImageRequest& request)
    : g_(g),
      creps_(dynamic_cast<const CrepsGenerator*>(&g)),
      tile_(request.tile.value_or(1)),
      noise_mode_(request.noise_mode),
      layout_{g.img_resolution(), g.img_resolution(), g.img_channels()} {
  const auto* stylegan3 = dynamic_cast<const StyleGan3Generator*>(&g);
  check_options(request, creps_ != nullptr, stylegan3 != nullptr);
  if (stylegan3 != nullptr) set_transform(*stylegan3, request);
  if (creps_ != nullptr) lay_out_canvas(request);
}

void ImageMaker::lay_out_canvas(const ImageRequest& request) {
  const int64_t side = scaled_side(g_.img_resolution(), request.scale.value_or(1));
  const Extent size = request.size.value_or(Extent{side, side});
  const auto [x0, y0, x1, y1] = request.region.value_or(std::array<double, 4>{0, 0, 1, 1});
  columns_ = make_axis(size.width, x0, x1, request.size.has_value());
  rows_ = make_axis(size.height, y0, y1, request.size.has_value());
  layout_.width = columns_.count;
  layout_.height = rows_.count;
}

void ImageMaker::make(const at::Tensor& ws, uint32_t seed, int maximum,
                      const std::function<void(const at::Tensor&)>& take) const {
  const at::NoGradGuard no_grad;
  if (creps_ == nullptr) {
    auto normals = at::detail::createCPUGenerator(seed);
    SynthesisOptions options;
    options.noise_mode = noise_mode_;
    options.random_noise = [&](int64_t /*layer*/, int64_t size) {
      return upload(at::randn({1, 1, size, size}, normals, at::TensorOptions(at::kFloat)),
                    g_.arena().options());
    };
    take(to_levels(g_.synthesize(ws, options)[0], maximum));
    return;
  }
  CrepsCanvas canvas(*creps_, ws, rows_, columns_);
  for (int64_t done = 0; done < layout_.height;) {
    std::vector<at::Tensor> portion;
    for (int64_t rows = 0; rows < tile_ && done < layout_.height;) {
      portion.push_back(to_levels(canvas.next_rows(), maximum));
      rows += portion.back().size(0);
      done += portion.back().size(0);
    }
    take(portion.size() == 1 ? portion[0] : at::cat(portion));
  }
}

}  // namespace galette
