// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_kernel_cases.h"

#include <cmath>

#include "kernels/bias_act.h"
#include "kernels/conv2d_3x3.h"
#include "kernels/dispatch.h"
#include "kernels/filtered_lrelu.h"
#include "kernels/line_decoder.h"

namespace galette {
namespace {

double count(at::IntArrayRef shape) {
  return static_cast<double>(c10::multiply_integers(shape));
}

at::Tensor scaled_lrelu(const at::Tensor& z, double gain, double clamp) {
  return (at::leaky_relu(z, 0.2) * gain).clamp(-clamp, clamp);
}

KernelCase bias_act_case(int64_t batch, at::Device device) {
  const at::Tensor x = at::randn({batch, 64, 64, 64}, device), bias = at::randn({64}, device);
  const double gain = default_gain(Activation::kLrelu);
  const double n = count(x.sizes()), size = bytes_of({x});
  return {.name = "bias_act",
          .inputs = {x, bias},
          .ours =
              [](const Tensors& in) {
                return bias_act(in[0], in[1], Activation::kLrelu, {.clamp = 256});
              },
          .plain =
              [=](const Tensors& in) {
                return scaled_lrelu(in[0] + in[1].view({1, -1, 1, 1}), gain, 256);
              },
          .forward = {4 * n, 2 * size},
          .backward = {3 * n, 3 * size}};
}

/// Each channel as an image of its own, as LibTorch's convolutions take one filter for all.
at::Tensor as_planes(const at::Tensor& x) {
  return x.reshape({-1, 1, x.size(2), x.size(3)});
}

at::Tensor as_channels(const at::Tensor& planes, const at::Tensor& like) {
  return planes.view({like.size(0), like.size(1), planes.size(2), planes.size(3)});
}

KernelCase upfirdn2d_case(int64_t batch, at::Device device) {
  const at::Tensor x = at::randn({batch, 32, 64, 64}, device);
  const at::Tensor taps = at::tensor({1.0F, 3.0F, 3.0F, 1.0F}, device) / 8;
  const at::Tensor kernel = (taps.outer(taps) * 4).view({1, 1, 4, 4});
  // Of the 16 taps a result meets four.
  const double n = 4 * count(x.sizes()), size = 5 * bytes_of({x});
  return {.name = "upfirdn2d",
          .inputs = {x},
          .ours = [=](const Tensors& in) { return upsample2d(in[0], taps.outer(taps)); },
          .plain =
              [=](const Tensors& in) {
                return as_channels(
                    at::conv_transpose2d(as_planes(in[0]), kernel, {}, {2, 2}, {1, 1}), in[0]);
              },
          .forward = {8 * n, size},
          .backward = {8 * n, size}};
}

/// Twice up, activation, twice down, with separable filters of 12 taps, of LibTorch's operators.
at::Tensor plain_filtered_lrelu(const Tensors& in, const at::Tensor& taps) {
  const at::Tensor tall = (taps * 2).view({1, 1, 12, 1}), wide = (taps * 2).view({1, 1, 1, 12});
  at::Tensor v = as_planes(in[0] + in[1].view({1, -1, 1, 1}));
  v = at::conv_transpose2d(v, tall, {}, {2, 1}, {2, 0});
  v = at::conv_transpose2d(v, wide, {}, {1, 2}, {0, 2});
  v = scaled_lrelu(v, default_gain(Activation::kLrelu), 256);
  v = at::conv2d(v, tall / 2, {}, {2, 1});
  return as_channels(at::conv2d(v, wide / 2, {}, {1, 2}), in[0]);
}

KernelCase filtered_lrelu_case(int64_t batch, at::Device device) {
  const int64_t size = 52, between = 2 * size + 6, out = size - 2;
  const at::Tensor x = at::randn({batch, 32, size, size}, device), bias = at::randn({32}, device);
  const at::Tensor half = at::hann_window(7, false, device).narrow(0, 1, 6) + 0.1;
  const at::Tensor taps = at::cat({half, half.flip({0})}) / (2 * half.sum());
  const FilteredLreluOptions options{.up = 2, .down = 2, .padding = {9, 8, 9, 8}, .clamp = 256.0};
  const auto planes = static_cast<double>(batch * 32);
  // Along an axis each sample in between is a sum of six products, each result one of twelve.
  const double products = planes * static_cast<double>(6 * between * size + 6 * between * between +
                                                       12 * out * between + 12 * out * out);
  const double bytes = planes * static_cast<double>(sizeof(float) * (size * size + out * out));
  return {
      .name = "filtered_lrelu",
      .inputs = {x, bias},
      .ours = [=](const Tensors& in) { return filtered_lrelu(in[0], in[1], taps, taps, options); },
      .plain = [=](const Tensors& in) { return plain_filtered_lrelu(in, taps); },
      .forward = {2 * products, bytes},
      .backward = {2 * products, bytes}};
}

at::Tensor decode(const Tensors& in, KernelPath path) {
  const KernelPathGuard guard(path);
  std::vector<DecoderLayer> layers;
  for (size_t k = 3; k < in.size(); k += 2) layers.push_back({in[k], in[k + 1], {}});
  return line_decoder(in[0], in[1], in[2], layers);
}

KernelCase line_decoder_case(int64_t batch, at::Device device) {
  const int64_t side = 64, rank = 8, widths[] = {32, 64, 128, 64, 32};
  const at::Tensor x = at::randn({batch, 32, side * side}, device);
  Tensors in{x, at::randn({batch * 32, side, rank}, device),
             at::randn({batch * 32, rank, side}, device)};
  double products = 0;
  for (int k = 0; k < 4; ++k) {
    in.push_back(at::randn({widths[k + 1], widths[k]}, device) / std::sqrt(widths[k]));
    in.push_back(at::randn({widths[k + 1]}, device));
    products += static_cast<double>(widths[k] * widths[k + 1] * batch * side * side);
  }
  const double lines = count(x.sizes()) * rank;
  // Backward: gradients of values and of weights; that values are computed anew does not count.
  return {.name = "line_decoder",
          .inputs = in,
          .ours = [](const Tensors& t) { return decode(t, KernelPath::fused); },
          .plain = [](const Tensors& t) { return decode(t, KernelPath::plain); },
          .forward = {2 * (products + lines), 2 * bytes_of({x})},
          .backward = {4 * (products + lines), 3 * bytes_of({x})}};
}

/// On GPUs LibTorch's own operator is taken.
KernelCase conv2d_3x3_case(int64_t batch) {
  const int64_t channels = 128, side = 64;
  const at::Tensor x = at::randn({batch, channels, side, side}),
                   w = at::randn({channels, channels, 3, 3});
  // Products by the definition; the operator itself makes a quarter of them.
  const double products = 9 * static_cast<double>(channels) * count(x.sizes());
  return {.name = "conv2d_3x3",
          .inputs = {x, w},
          .ours = [](const Tensors& in) { return conv2d_3x3(in[0], in[1], 1, 1); },
          .plain =
              [](const Tensors& in) {
                return at::conv2d(in[0], in[1], {}, {1, 1}, {1, 1});
              },
          .forward = {2 * products, 2 * bytes_of({x})},
          .backward = {4 * products, 3 * bytes_of({x})}};
}

}  // namespace

double bytes_of(const Tensors& tensors) {
  size_t sum = 0;
  for (const at::Tensor& t : tensors) sum += t.nbytes();
  return static_cast<double>(sum);
}

std::vector<KernelCase> kernel_cases(int64_t batch, at::Device device) {
  std::vector<KernelCase> cases{bias_act_case(batch, device), upfirdn2d_case(batch, device),
                                filtered_lrelu_case(batch, device),
                                line_decoder_case(batch, device)};
  if (device.is_cpu()) cases.insert(cases.end() - 1, conv2d_3x3_case(batch));
  return cases;
}

}  // namespace galette
