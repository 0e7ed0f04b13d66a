// SPDX-License-Identifier: Apache-2.0
// The branches of conv2d_resample. All give the result of upsample, convolve, downsample in exact
// arithmetic; each saves work by letting the convolution see the smaller image.
#include "kernels/conv2d_resample.h"

#include <algorithm>

#include "kernels/conv2d_3x3.h"
#include "kernels/upfirdn2d_math.h"

namespace galette {
namespace {

using Options = Conv2dResampleOptions;

/// The padding of the whole operator, which is done once: the caller's and the filters'.
Padding2d total_padding(const at::Tensor& filter, const Options& o) {
  const AxisPair size = filter_size(filter);
  Padding2d p = o.padding;
  for (int axis : {0, 1}) {
    if (o.up > 1) {
      p[2 * axis] += floor_div(size[axis] + o.up - 1, 2);
      p[2 * axis + 1] += floor_div(size[axis] - o.up, 2);
    }
    if (o.down > 1) {
      p[2 * axis] += floor_div(size[axis] - o.down + 1, 2);
      p[2 * axis + 1] += floor_div(size[axis] - o.down, 2);
    }
  }
  return p;
}

/// The FIR stage of upsampling, whose gain makes up for the inserted zeros; by `up` now, after what
/// the convolution has done of it.
at::Tensor enlarge(const at::Tensor& x, const at::Tensor& filter, const Options& o, int64_t up,
                   const Padding2d& padding) {
  return upfirdn2d(x, filter,
                   {.up = {up, up},
                    .padding = padding,
                    .flip_filter = o.flip_filter,
                    .gain = static_cast<double>(o.up * o.up)});
}

/// The FIR stage of downsampling, whose gain is 1.
at::Tensor reduce(const at::Tensor& x, const at::Tensor& filter, const Options& o, int64_t down,
                  const Padding2d& padding) {
  return upfirdn2d(x, filter,
                   {.down = {down, down}, .padding = padding, .flip_filter = o.flip_filter});
}

at::Tensor correlate(const at::Tensor& x, const at::Tensor& weight, const Options& o,
                     int64_t stride, int64_t pad_y, int64_t pad_x) {
  const bool mirrored = !o.flip_weight && (weight.size(2) > 1 || weight.size(3) > 1);
  const at::Tensor kernel = mirrored ? weight.flip({2, 3}) : weight;
  if (stride == 1 && o.groups == 1 && kernel.size(2) == 3 && kernel.size(3) == 3)
    return conv2d_3x3(x, kernel, pad_y, pad_x);
  return at::conv2d(x, kernel, {}, {stride, stride}, {pad_y, pad_x}, {1, 1}, o.groups);
}

/// Weights [O, I / g, kh, kw] as at::conv_transpose2d wants them: [I, O / g, kh, kw].
at::Tensor transposed_weight(const at::Tensor& weight, int64_t groups) {
  if (groups == 1) return weight.transpose(0, 1);
  const int64_t o = weight.size(0), i = weight.size(1), h = weight.size(2), w = weight.size(3);
  return weight.reshape({groups, o / groups, i, h, w})
      .transpose(1, 2)
      .reshape({groups * i, o / groups, h, w});
}

/// A transposed convolution, which skips the inserted zeros, then the FIR stages.
at::Tensor transposed_branch(const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& filter, const Options& o, const Padding2d& total) {
  // What remains to pad after the transposed convolution; it can only crop, and equally on both
  // sides.
  Padding2d rest;
  AxisPair crop;
  for (int axis : {0, 1}) {
    const int64_t taps = weight.size(3 - axis);
    const int64_t before = total[2 * axis] - (taps - 1),
                  after = total[2 * axis + 1] - (taps - o.up);
    crop[axis] = std::max<int64_t>(std::min(-before, -after), 0);
    rest[2 * axis] = before + crop[axis];
    rest[2 * axis + 1] = after + crop[axis];
  }
  // It scatters, which is a true convolution with its kernel.
  const at::Tensor kernel =
      transposed_weight(o.flip_weight ? weight.flip({2, 3}) : weight, o.groups);
  const at::Tensor v =
      at::conv_transpose2d(x, kernel, {}, {o.up, o.up}, {crop[1], crop[0]}, {0, 0}, o.groups);
  const at::Tensor y = enlarge(v, filter, o, 1, rest);
  return o.down > 1 ? reduce(y, filter, o, o.down, {0, 0, 0, 0}) : y;
}

void check(const at::Tensor& x, const at::Tensor& weight, const Options& o) {
  TORCH_CHECK(x.defined() && x.dim() == 4, "conv2d_resample: x has shape ",
              x.defined() ? x.sizes() : at::IntArrayRef(), "; give [N, C, H, W]");
  TORCH_CHECK(weight.defined() && weight.dim() == 4, "conv2d_resample: weight has shape ",
              weight.defined() ? weight.sizes() : at::IntArrayRef(),
              "; give [O, C / groups, kh, kw]");
  TORCH_CHECK(
      o.groups >= 1 && x.size(1) == weight.size(1) * o.groups && weight.size(0) % o.groups == 0,
      "conv2d_resample: x of shape ", x.sizes(), " and weight of shape ", weight.sizes(),
      " do not fit with groups = ", o.groups);
  TORCH_CHECK(x.scalar_type() == weight.scalar_type(), "conv2d_resample: x is ", x.scalar_type(),
              ", weight is ", weight.scalar_type(), "; give both the same type");
  TORCH_CHECK(o.up >= 1 && o.down >= 1, "conv2d_resample: up is ", o.up, ", down is ", o.down,
              "; give factors of 1 or more");
}

}  // namespace

at::Tensor conv2d_resample(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& filter,
                           const Conv2dResampleOptions& o) {
  check(x, weight, o);
  const Padding2d p = total_padding(filter, o);
  const bool pointwise = weight.size(2) == 1 && weight.size(3) == 1;
  if (pointwise && o.down > 1 && o.up == 1)
    return correlate(reduce(x, filter, o, o.down, p), weight, o, 1, 0, 0);
  if (pointwise && o.up > 1 && o.down == 1)
    return enlarge(correlate(x, weight, o, 1, 0, 0), filter, o, o.up, p);
  if (o.down > 1 && o.up == 1)
    return correlate(reduce(x, filter, o, 1, p), weight, o, o.down, 0, 0);
  if (o.up > 1) return transposed_branch(x, weight, filter, o, p);
  if (p[0] == p[1] && p[2] == p[3] && p[0] >= 0 && p[2] >= 0)
    return correlate(x, weight, o, 1, p[2], p[0]);
  // Uneven or negative padding; there is nothing to filter.
  return correlate(upfirdn2d(x, {}, {.padding = p}), weight, o, 1, 0, 0);
}

}  // namespace galette
