// SPDX-License-Identifier: Apache-2.0
#include "models/fixed_layers.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "io/check.h"
#include "kernels/upload.h"

namespace galette {
namespace {

constexpr auto kLayout = at::MemoryFormat::ChannelsLast;

/// Linear interpolation along one axis, by exact integer arithmetic of the coordinates.
at::Tensor interpolate(const at::Tensor& x, int64_t axis, int64_t size) {
  const int64_t old_size = x.size(axis);
  if (old_size == size) return x;
  std::vector<int64_t> first, second;
  std::vector<double> fraction;
  for (int64_t j = 0; j < size; ++j) {
    first.push_back(j * old_size / size);
    second.push_back(std::min(first.back() + 1, old_size - 1));
    fraction.push_back(static_cast<double>(j * old_size % size) / static_cast<double>(size));
  }
  std::vector<int64_t> along(static_cast<size_t>(x.dim()), 1);
  along[static_cast<size_t>(axis)] = size;
  const at::Tensor weight = at::tensor(fraction, x.options()).view(along);
  const at::TensorOptions indices = x.options().dtype(at::kLong);
  return at::lerp(x.index_select(axis, at::tensor(first, indices)),
                  x.index_select(axis, at::tensor(second, indices)), weight);
}

}  // namespace

WeightReader::WeightReader(const WeightMap& weights, at::ScalarType type, std::string where)
    : WeightReader(
          [&weights](const std::string& name, at::IntArrayRef) {
            const auto found = weights.find(name);
            return found == weights.end() ? at::Tensor() : found->second;
          },
          type, std::move(where)) {}

void WeightReader::fail(const std::string& what) const {
  throw InputError(fmt::format("{}: {}", where_, what));
}

at::Tensor WeightReader::get(const std::string& name, const std::vector<int64_t>& shape) const {
  const at::Tensor value = source_(name, shape);
  if (!value.defined()) fail(fmt::format("tensor '{}' is missing", name));
  if (value.sizes() != at::IntArrayRef(shape))
    fail(fmt::format("tensor '{}' has shape [{}] where [{}] is due", name,
                     fmt::join(value.sizes(), ", "), fmt::join(shape, ", ")));
  return value.to(type_);
}

at::Tensor FixedConv::operator()(const at::Tensor& x) const {
  return at::conv2d(x.contiguous(kLayout), weight, bias, shape.stride, shape.padding, 1,
                    shape.depthwise ? shape.in : 1);
}

FixedConv plain_conv(const WeightReader& weights, const std::string& name,
                     const FixedConv::Shape& shape) {
  const at::Tensor weight = weights.get(
      name + ".weight", {shape.out, shape.depthwise ? 1 : shape.in, shape.height, shape.width});
  return {weight.contiguous(kLayout), weights.get(name + ".bias", {shape.out}), shape};
}

FixedConv folded_conv(const WeightReader& weights, const std::string& conv, const std::string& norm,
                      double epsilon, const FixedConv::Shape& shape) {
  const auto value = [&](const std::string& name) {
    return weights.get(norm + "." + name, {shape.out}).to(at::kDouble);
  };
  const at::Tensor gain = value("weight") / (value("running_var") + epsilon).sqrt();
  const at::Tensor weight = weights
                                .get(conv + ".weight", {shape.out, shape.depthwise ? 1 : shape.in,
                                                        shape.height, shape.width})
                                .to(at::kDouble);
  const at::Tensor bias = value("bias") - value("running_mean") * gain;
  return {(weight * gain.view({-1, 1, 1, 1})).to(weights.type()).contiguous(kLayout),
          bias.to(weights.type()), shape};
}

at::Tensor as_rgb(const at::Tensor& images, const at::TensorOptions& options) {
  TORCH_CHECK(images.dim() == 4 && (images.size(1) == 1 || images.size(1) == 3),
              "a detector takes images [n, 3, H, W] or [n, 1, H, W], not ", images.sizes());
  return upload(images, options).expand({-1, 3, -1, -1});
}

at::Tensor resize_tensorflow(const at::Tensor& x, int64_t size) {
  return interpolate(interpolate(x, 3, size), 2, size);
}

at::Tensor resize_half_pixel(const at::Tensor& x, int64_t size) {
  return at::upsample_bilinear2d(x, {size, size}, false, std::nullopt, std::nullopt);
}

}  // namespace galette
