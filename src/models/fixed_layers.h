// SPDX-License-Identifier: Apache-2.0
// Layers of networks whose weights never change: images to pixels that a network wants, tensors by
// name, and convolutions with batch normalisation folded into them.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "models/detector.h"

namespace galette {

/// Looks up weights and checks them.
class WeightReader {
 public:
  /// The tensor of a name; undefined when there is none. Its shape should be as given.
  using Source = std::function<at::Tensor(const std::string& name, at::IntArrayRef shape)>;

  /// `where` (a file, a network) opens messages.
  WeightReader(Source source, at::ScalarType type, std::string where)
      : source_(std::move(source)), type_(type), where_(std::move(where)) {}
  /// From tensors that must outlive this.
  WeightReader(const WeightMap& weights, at::ScalarType type, std::string where);

  bool has(const std::string& name) const { return source_(name, {}).defined(); }
  /// A tensor in the type asked for. Throws InputError when it is missing or has another shape.
  at::Tensor get(const std::string& name, const std::vector<int64_t>& shape) const;
  /// Throws InputError.
  [[noreturn]] void fail(const std::string& what) const;
  at::ScalarType type() const { return type_; }

 private:
  Source source_;
  at::ScalarType type_;
  std::string where_;
};

/// A convolution with bias. [n, in, H, W] -> [n, out, H', W'], in channels-last layout, which is
/// the faster one for convolutions of many channels on CPUs.
struct FixedConv {
  struct Shape {
    int64_t in = 0, out = 0, height = 1, width = 1, stride = 1;
    std::vector<int64_t> padding{0, 0};  ///< rows, columns
    bool depthwise = false;              ///< each channel by itself
  };

  at::Tensor operator()(const at::Tensor& x) const;

  at::Tensor weight, bias;
  Shape shape;
};

/// Tensors NAME.weight and NAME.bias.
FixedConv plain_conv(const WeightReader& weights, const std::string& name,
                     const FixedConv::Shape& shape);

/// A convolution without bias, CONV.weight, followed by batch normalisation with stored statistics:
/// NORM.{weight, bias, running_mean, running_var}. Folded in float64:
/// W' = W g, b' = bias - mean g, g = weight / sqrt(var + epsilon).
FixedConv folded_conv(const WeightReader& weights, const std::string& conv, const std::string& norm,
                      double epsilon, const FixedConv::Shape& shape);

/// Images as the detector interface takes them -> three channels, of the type and on the device of
/// `options`. Throws c10::Error for other shapes.
at::Tensor as_rgb(const at::Tensor& images, const at::TensorOptions& options);

/// Resizes [n, c, H, W] to size x size as TensorFlow 1 did: pixel j reads coordinate j W / size,
/// bilinearly, without antialiasing. The identity for images of that size.
at::Tensor resize_tensorflow(const at::Tensor& x, int64_t size);

/// The same with pixel centres at half coordinates: pixel j reads (j + 1/2) W / size - 1/2.
at::Tensor resize_half_pixel(const at::Tensor& x, int64_t size);

/// Calls `compute` without gradients for 32 images at a time, which bounds the memory.
template <typename Compute>
at::Tensor in_pieces(const at::Tensor& images, Compute compute) {
  constexpr int64_t kPiece = 32;
  const at::NoGradGuard no_grad;
  if (images.size(0) <= kPiece) return compute(images);
  std::vector<at::Tensor> results;
  for (const at::Tensor& piece : images.split(kPiece)) results.push_back(compute(piece));
  return at::cat(results);
}

}  // namespace galette
