// SPDX-License-Identifier: Apache-2.0
// Checks, autograd and dispatch of affine_resample. The gradient is the adjoint, and the gradient
// of that is the operator itself.
#include "kernels/affine_resample.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include <ATen/DeviceGuard.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/affine_resample_math.h"
#include "kernels/dispatch.h"

namespace galette {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Low-pass filter of the symlet with six vanishing moments.
constexpr std::array<double, kWaveletTaps> kSym6{
    0.015404109327027373,  0.0034907120842174702, -0.11799011114819057,  -0.048311742585633,
    0.4910559419267466,    0.787641141030194,     0.3379294217276218,    -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578,   0.0017677118642428036, -0.007800708325034148};

constexpr auto kPathBytes = static_cast<int64_t>(sizeof(AffinePath));

AffineResampleCall call_for(const at::Tensor& x) {
  AffineResampleCall call;
  call.type = checked_element_type(x, "affine_resample", "x");
  call.planes = x.size(0) * x.size(1);
  call.channels = x.size(1);
  call.height = x.size(2);
  call.width = x.size(3);
  const double sum = std::accumulate(kSym6.begin(), kSym6.end(), 0.0);
  // Filters of networks are float32; this one is no exception.
  for (size_t k = 0; k < kSym6.size(); ++k) call.taps[k] = static_cast<float>(kSym6[k] / sum);
  return call;
}

/// The first two rows of one matrix.
struct Affine {
  double xx, xy, x0, yx, yy, y0;
};

std::vector<Affine> affine_rows(const at::Tensor& inverse) {
  TORCH_CHECK(inverse.defined() && inverse.is_cpu() && inverse.scalar_type() == at::kDouble &&
                  inverse.dim() == 3 && (inverse.size(1) == 2 || inverse.size(1) == 3) &&
                  inverse.size(2) == 3,
              "affine_resample: inverse must be float64 [N, 2, 3] or [N, 3, 3] on the CPU");
  const auto m = inverse.accessor<double, 3>();
  std::vector<Affine> rows;
  for (int64_t n = 0; n < inverse.size(0); ++n) {
    const Affine a{m[n][0][0], m[n][0][1], m[n][0][2], m[n][1][0], m[n][1][1], m[n][1][2]};
    const double determinant = a.xx * a.yy - a.xy * a.yx;
    TORCH_CHECK(std::isfinite(determinant + a.x0 + a.y0) && determinant != 0,
                "affine_resample: the inverse of image ", n, " is singular or not finite");
    rows.push_back(a);
  }
  return rows;
}

/// Margin on one side: how far the corners reach beyond the centre, plus room for both filters,
/// minus the half of the image that is there.
int64_t margin(double reach, int64_t size) {
  const double last = static_cast<double>(size - 1);
  return static_cast<int64_t>(std::ceil(std::clamp(reach + kHalfTaps - last / 2, 0.0, last)));
}

AffineMargins margins_for(const Affine& a, int64_t height, int64_t width) {
  const double u = static_cast<double>(width - 1) / 2, v = static_cast<double>(height - 1) / 2;
  const double reach_x = std::abs(a.xx) * u + std::abs(a.xy) * v;
  const double reach_y = std::abs(a.yx) * u + std::abs(a.yy) * v;
  return {margin(reach_x - a.x0, width), margin(reach_x + a.x0, width),
          margin(reach_y - a.y0, height), margin(reach_y + a.y0, height)};
}

/// Canvas sample j lies at pixel (j - 5) / 2 of the result, and e[q] at pixel q / 2 of the input.
AffinePath path_for(const Affine& a, const AffineMargins& margins, int64_t height, int64_t width) {
  const double u = static_cast<double>(width - 1) / 2, v = static_cast<double>(height - 1) / 2;
  const double first_x = -(kHalfTaps - 1) / 2.0 - u, first_y = -(kHalfTaps - 1) / 2.0 - v;
  AffinePath path;
  path.origin_x = 2 * (a.xx * first_x + a.xy * first_y + a.x0 + u);
  path.origin_y = 2 * (a.yx * first_x + a.yy * first_y + a.y0 + v);
  path.column_x = a.xx;
  path.column_y = a.yx;
  path.row_x = a.xy;
  path.row_y = a.yy;
  path.margins = margins;
  return path;
}

/// The margins of one image, checked.
AffineMargins margins_of(const at::TensorAccessor<int64_t, 2>& all, int64_t n, int64_t height,
                         int64_t width) {
  const AffineMargins m{all[n][0], all[n][1], all[n][2], all[n][3]};
  TORCH_CHECK(std::min({m.left, m.right, m.top, m.bottom}) >= 0 &&
                  std::max(m.left, m.right) < width && std::max(m.top, m.bottom) < height,
              "affine_resample: margins of image ", n, " must be from 0 to one less than the ",
              height, "x", width, " image");
  return m;
}

/// What the CUDA body may take for planes between its steps. An image at a time would leave a GPU
/// idle, a whole batch would take gigabytes.
constexpr int64_t kScratchBytes = int64_t{256} << 20;

void run_cuda(const AffineResampleCall& call, const at::Tensor& paths, bool adjoint,
              const at::Tensor& in, at::Tensor& out) {
  const auto options =
      in.options().dtype(in.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  const std::array<int64_t, 2> large{enlarged_side(call.height), enlarged_side(call.width)};
  const std::array<int64_t, 2> small{canvas_side(call.height), canvas_side(call.width)};
  const int64_t plane_bytes = (large[0] * large[1] + small[0] * small[1]) *
                              static_cast<int64_t>(options.dtype().itemsize());
  AffineScratch scratch;
  scratch.planes = std::clamp<int64_t>(kScratchBytes / plane_bytes, 1, call.planes);
  const at::Tensor enlarged = at::empty({scratch.planes, large[0], large[1]}, options);
  const at::Tensor canvas = at::empty({scratch.planes, small[0], small[1]}, options);
  scratch.enlarged = enlarged.mutable_data_ptr();
  scratch.canvas = canvas.mutable_data_ptr();
  affine_resample_cuda(call, static_cast<const AffinePath*>(paths.const_data_ptr()), adjoint,
                       scratch, in.const_data_ptr(), out.mutable_data_ptr(),
                       current_cuda_stream(in));
}

class AffineResample : public torch::autograd::Function<AffineResample> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& paths,
                            bool adjoint) {
    ctx->set_materialize_grads(false);
    ctx->saved_data["paths"] = paths;
    ctx->saved_data["adjoint"] = adjoint;
    at::Tensor y = at::empty(x.sizes(), x.options().memory_format(at::MemoryFormat::Contiguous));
    if (x.numel() == 0) return y;
    const c10::DeviceGuard device(x.device());
    const at::Tensor source = x.contiguous();
    const AffineResampleCall call = call_for(source);
    RECORD_FUNCTION("galette::affine_resample", {});
    if (x.is_cuda()) {
      run_cuda(call, paths, adjoint, source, y);
    } else {
      affine_resample_cpu(call, static_cast<const AffinePath*>(paths.const_data_ptr()), adjoint,
                          source.const_data_ptr(), y.mutable_data_ptr());
    }
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[0].defined()) return variable_list(3);
    const at::Tensor paths = ctx->saved_data["paths"].toTensor();
    return {apply(grads[0], paths, !ctx->saved_data["adjoint"].toBool()), {}, {}};
  }
};

}  // namespace

at::Tensor affine_margins(const at::Tensor& inverse, int64_t height, int64_t width) {
  const std::vector<Affine> rows = affine_rows(inverse);
  at::Tensor margins = at::empty({inverse.size(0), 4}, at::kLong);
  auto* out = margins.mutable_data_ptr<int64_t>();
  for (const Affine& a : rows) {
    const AffineMargins m = margins_for(a, height, width);
    for (const int64_t side : {m.left, m.right, m.top, m.bottom}) *out++ = side;
  }
  return margins;
}

at::Tensor affine_paths(const at::Tensor& inverse, int64_t height, int64_t width,
                        const at::Tensor& margins) {
  const std::vector<Affine> rows = affine_rows(inverse);
  const int64_t n = inverse.size(0);
  const at::Tensor sides = margins.defined() ? margins : affine_margins(inverse, height, width);
  TORCH_CHECK(sides.is_cpu() && sides.scalar_type() == at::kLong && sides.dim() == 2 &&
                  sides.size(0) == n && sides.size(1) == 4,
              "affine_resample: margins must be int64 [N, 4] on the CPU");
  at::Tensor paths = at::empty({n, kPathBytes}, at::kByte);
  auto* out = static_cast<AffinePath*>(paths.mutable_data_ptr());
  for (int64_t i = 0; i < n; ++i) {
    const AffineMargins m = margins_of(sides.accessor<int64_t, 2>(), i, height, width);
    *out++ = path_for(rows[static_cast<size_t>(i)], m, height, width);
  }
  return paths;
}

at::Tensor affine_resample(const at::Tensor& x, const at::Tensor& paths) {
  checked_element_type(x, "affine_resample", "x");
  TORCH_CHECK(x.dim() == 4, "affine_resample: x has shape ", x.sizes(), "; give [N, C, H, W]");
  TORCH_CHECK(paths.defined() && paths.scalar_type() == at::kByte && paths.dim() == 2 &&
                  paths.size(1) == kPathBytes && paths.is_contiguous() &&
                  paths.device() == x.device(),
              "affine_resample: paths must be affine_paths() on ", x.device());
  TORCH_CHECK(paths.size(0) == x.size(0), "affine_resample: ", paths.size(0), " paths for ",
              x.size(0), " images");
  return AffineResample::apply(x, paths, false);
}

}  // namespace galette
