// SPDX-License-Identifier: Apache-2.0
// The three everyday uses of upfirdn2d, which differ in their padding only.
#include "kernels/upfirdn2d.h"
#include "kernels/upfirdn2d_math.h"

namespace galette {

at::Tensor filter2d(const at::Tensor& x, const at::Tensor& filter, const Padding2d& padding,
                    bool flip_filter, double gain) {
  const AxisPair size = filter_size(filter);
  UpFirDnOptions options{.padding = padding, .flip_filter = flip_filter, .gain = gain};
  for (int axis : {0, 1}) {
    options.padding[2 * axis] += floor_div(size[axis], 2);
    options.padding[2 * axis + 1] += floor_div(size[axis] - 1, 2);
  }
  return upfirdn2d(x, filter, options);
}

at::Tensor upsample2d(const at::Tensor& x, const at::Tensor& filter, const AxisPair& up,
                      const Padding2d& padding, bool flip_filter, double gain) {
  const AxisPair size = filter_size(filter);
  UpFirDnOptions options{.up = up,
                         .padding = padding,
                         .flip_filter = flip_filter,
                         .gain = gain * static_cast<double>(up[0] * up[1])};
  for (int axis : {0, 1}) {
    options.padding[2 * axis] += floor_div(size[axis] + up[axis] - 1, 2);
    options.padding[2 * axis + 1] += floor_div(size[axis] - up[axis], 2);
  }
  return upfirdn2d(x, filter, options);
}

at::Tensor downsample2d(const at::Tensor& x, const at::Tensor& filter, const AxisPair& down,
                        const Padding2d& padding, bool flip_filter, double gain) {
  const AxisPair size = filter_size(filter);
  UpFirDnOptions options{
      .down = down, .padding = padding, .flip_filter = flip_filter, .gain = gain};
  for (int axis : {0, 1}) {
    options.padding[2 * axis] += floor_div(size[axis] - down[axis] + 1, 2);
    options.padding[2 * axis + 1] += floor_div(size[axis] - down[axis], 2);
  }
  return upfirdn2d(x, filter, options);
}

}  // namespace galette
