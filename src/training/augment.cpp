// SPDX-License-Identifier: Apache-2.0
#include "training/augment.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "io/check.h"
#include "kernels/affine_resample.h"
#include "kernels/upload.h"
#include "training/augment_draw.h"

namespace galette {
namespace {

void add_blit(AugmentConfig& c) {
  c.xflip = c.rotate90 = c.xint = 1;
}
void add_geometry(AugmentConfig& c) {
  c.scale = c.rotate = c.aniso = c.xfrac = 1;
}
void add_colour(AugmentConfig& c) {
  c.brightness = c.contrast = c.lumaflip = c.hue = c.saturation = 1;
}

/// Rows of `values` as a float64 tensor of shape [n, shape...].
at::Tensor stacked(const std::vector<double>& values, std::vector<int64_t> shape, int64_t n) {
  shape.insert(shape.begin(), n);
  return at::tensor(values, at::kDouble).view(shape);
}

/// The colour transformation of images of one channel is that of equal channels, averaged.
void append_colour(const Square<4>& q, int64_t channels, std::vector<double>& values) {
  if (channels == 3) {
    for (size_t i = 0; i < 3; ++i) values.insert(values.end(), q[i].begin(), q[i].end());
    return;
  }
  double factor = 0, offset = 0;
  for (size_t i = 0; i < 3; ++i) {
    factor += (q[i][0] + q[i][1] + q[i][2]) / 3;
    offset += q[i][3] / 3;
  }
  values.insert(values.end(), {factor, offset});
}

at::Tensor apply_colour(const at::Tensor& x, const at::Tensor& colour) {
  const int64_t channels = x.size(1);
  return at::baddbmm(colour.narrow(2, channels, 1), colour.narrow(2, 0, channels), x.flatten(2))
      .view_as(x);
}

/// Indices of an axis that is extended on both sides by reflection, as often as it takes.
at::Tensor reflected(int64_t size, int64_t border, const at::Tensor& like) {
  const int64_t period = std::max<int64_t>(1, 2 * (size - 1));
  const at::Tensor places = at::arange(-border, size + border, like.options().dtype(at::kLong));
  const at::Tensor phase = places.remainder(period);
  return at::minimum(phase, period - phase);
}

/// Each image with its own taps, by convolutions of one group for each plane.
at::Tensor apply_filter(const at::Tensor& x, const at::Tensor& filter) {
  const int64_t n = x.size(0), c = x.size(1), taps = filter.size(1), border = taps / 2;
  const at::Tensor extended = x.index_select(2, reflected(x.size(2), border, x))
                                  .index_select(3, reflected(x.size(3), border, x));
  const at::Tensor weights = filter.repeat_interleave(c, 0, n * c);
  const at::Tensor planes = extended.reshape({1, n * c, extended.size(2), extended.size(3)});
  const std::array<int64_t, 2> ones{1, 1}, zeros{0, 0};
  const at::Tensor rows =
      at::conv2d(planes, weights.view({n * c, 1, 1, taps}), {}, ones, zeros, ones, n * c);
  return at::conv2d(rows, weights.view({n * c, 1, taps, 1}), {}, ones, zeros, ones, n * c)
      .view_as(x);
}

at::Tensor add_noise(const at::Tensor& x, const at::Tensor& noise, const at::Tensor& deviation) {
  return x + noise * deviation.view({-1, 1, 1, 1});
}

/// [n, size]: whether pixel i of an axis lies within the square, by its centre (i + 1/2) / size.
at::Tensor within(const at::Tensor& centre, const at::Tensor& extent, int64_t size) {
  const at::Tensor places = (at::arange(size, centre.options()) + 0.5) / static_cast<double>(size);
  return (places.unsqueeze(0) - centre.unsqueeze(1)).abs() < extent.unsqueeze(1) / 2;
}

at::Tensor apply_cutout(const at::Tensor& x, const at::Tensor& cutout) {
  const at::Tensor extent = cutout.select(1, 2);
  const at::Tensor columns = within(cutout.select(1, 0), extent, x.size(3));
  const at::Tensor rows = within(cutout.select(1, 1), extent, x.size(2));
  const at::Tensor square = rows.unsqueeze(2).logical_and(columns.unsqueeze(1)).unsqueeze(1);
  return x.masked_fill(square, 0);
}

}  // namespace

const std::vector<std::string>& AugmentConfig::names() {
  static const std::vector<std::string> names{"blit", "geom", "color", "filter", "noise", "cutout",
                                              "bg",   "bgc",  "bgcf",  "bgcfn",  "bgcfnc"};
  return names;
}

AugmentConfig AugmentConfig::named(const std::string& name) {
  const std::vector<std::string>& known = names();
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    throw InputError(fmt::format("--augpipe={}: no such set of augmentations; give one of {}", name,
                                 fmt::join(known, ", ")));
  }
  // Those that begin with "bg" add up letter by letter.
  const size_t added = name.starts_with("bg") ? name.size() : 0;
  AugmentConfig config;
  if (name == "blit" || added >= 2) add_blit(config);
  if (name == "geom" || added >= 2) add_geometry(config);
  if (name == "color" || added >= 3) add_colour(config);
  if (name == "filter" || added >= 4) config.imgfilter = 1;
  if (name == "noise" || added >= 5) config.noise = 1;
  if (name == "cutout" || added >= 6) config.cutout = 1;
  return config;
}

bool AugmentConfig::geometric() const {
  return std::max({xflip, rotate90, xint, scale, rotate, aniso, xfrac}) > 0;
}

bool AugmentConfig::colour() const {
  return std::max({brightness, contrast, lumaflip, hue, saturation}) > 0;
}

AugmentPipe::AugmentPipe(const AugmentConfig& config, int64_t channels, int64_t resolution)
    : config_(config), channels_(channels), resolution_(resolution) {
  TORCH_CHECK(channels == 1 || channels == 3, "augmentation: images have ", channels,
              " channels; give 1 or 3");
}

AugmentParameters AugmentPipe::draw(const AugmentSource& source, int64_t n, double p) const {
  std::vector<double> geometry, colour, filter, cutout;
  for (int64_t row = 0; row < n; ++row) {
    const AugmentDraws draws(config_, source, row, p);
    if (config_.geometric()) {
      for (const std::array<double, 3>& line : draws.geometry(resolution_))
        geometry.insert(geometry.end(), line.begin(), line.end());
    }
    if (config_.colour()) append_colour(draws.colour(channels_), channels_, colour);
    if (config_.imgfilter > 0) {
      const std::vector<double> taps = draws.filter();
      filter.insert(filter.end(), taps.begin(), taps.end());
    }
    if (config_.cutout > 0) {
      const std::array<double, 3> square = draws.cutout();
      cutout.insert(cutout.end(), square.begin(), square.end());
    }
  }
  AugmentParameters out;
  if (config_.geometric()) {
    out.geometry = stacked(geometry, {3, 3}, n);
    out.margins = affine_margins(out.geometry, resolution_, resolution_);
  }
  if (config_.colour()) out.colour = stacked(colour, {channels_, channels_ + 1}, n);
  if (config_.imgfilter > 0)
    out.filter = stacked(filter, {static_cast<int64_t>(filter_bands()[0].size())}, n);
  if (config_.noise > 0) draw_noise(source, n, p, out);
  if (config_.cutout > 0) out.cutout = stacked(cutout, {3}, n);
  return out;
}

/// Numbers for whole images are made only for those that need them.
void AugmentPipe::draw_noise(const AugmentSource& source, int64_t n, double p,
                             AugmentParameters& out) const {
  std::vector<double> deviations;
  for (int64_t row = 0; row < n; ++row) {
    deviations.push_back(AugmentDraws(config_, source, row, p).noise_deviation());
    if (deviations.back() == 0) continue;
    if (!out.noise.defined()) out.noise = at::zeros({n, channels_, resolution_, resolution_});
    source.fill_noise(row, out.noise[row]);
  }
  if (out.noise.defined()) out.deviation = stacked(deviations, {}, n);
}

AugmentTensors AugmentPipe::to_device(const AugmentParameters& parameters,
                                      const at::TensorOptions& images) const {
  const auto there = [&](const at::Tensor& values, const at::TensorOptions& options) {
    return values.defined() ? upload(values, options) : at::Tensor();
  };
  AugmentTensors tensors;
  if (parameters.geometry.defined()) {
    tensors.paths =
        upload(affine_paths(parameters.geometry, resolution_, resolution_, parameters.margins),
               images.dtype(at::kByte));
  }
  tensors.colour = there(parameters.colour, images);
  tensors.filter = there(parameters.filter, images);
  tensors.noise = there(parameters.noise, images);
  tensors.deviation = there(parameters.deviation, images);
  tensors.cutout = there(parameters.cutout, images.dtype(at::kDouble));
  return tensors;
}

at::Tensor AugmentPipe::apply(const at::Tensor& images, const AugmentTensors& parameters) const {
  TORCH_CHECK(images.dim() == 4 && images.size(1) == channels_ && images.size(2) == resolution_ &&
                  images.size(3) == resolution_,
              "augmentation: images have shape ", images.sizes(), ", expected [n, ", channels_,
              ", ", resolution_, ", ", resolution_, "]");
  at::Tensor x = images;
  if (parameters.paths.defined()) x = affine_resample(x, parameters.paths);
  if (parameters.colour.defined()) x = apply_colour(x, parameters.colour);
  if (parameters.filter.defined()) x = apply_filter(x, parameters.filter);
  if (parameters.noise.defined()) x = add_noise(x, parameters.noise, parameters.deviation);
  if (parameters.cutout.defined()) x = apply_cutout(x, parameters.cutout);
  return x;
}

}  // namespace galette
