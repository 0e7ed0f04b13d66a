// SPDX-License-Identifier: Apache-2.0
// Checks, autograd and dispatch of upfirdn2d. The adjoint of the operator is the operator itself
// with the factors exchanged, so derivatives of any order are compositions of it.
#include "kernels/upfirdn2d.h"

#include <algorithm>

#include <ATen/DeviceGuard.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include "kernels/dispatch.h"
#include "kernels/fir_taps.h"
#include "kernels/upfirdn2d_math.h"
#include "kernels/upload.h"

namespace galette {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

UpFirDnAxis axis_of(int64_t in, int64_t taps, int axis, const UpFirDnOptions& o) {
  UpFirDnAxis a{in, 0, o.up[axis], o.down[axis], o.padding[2 * axis], taps};
  a.out = floor_div(in * a.up + a.pad + o.padding[2 * axis + 1] - taps, a.down) + 1;
  return a;
}

UpFirDnCall call_for(const at::Tensor& x, const AxisPair& taps, const UpFirDnOptions& options,
                     at::MemoryFormat format) {
  UpFirDnCall call;
  call.type = checked_element_type(x, "upfirdn2d", "x");
  const bool channels_last = format == at::MemoryFormat::ChannelsLast;
  call.planes = channels_last ? x.size(0) : x.size(0) * x.size(1);
  call.channels = channels_last ? x.size(1) : 1;
  call.x = axis_of(x.size(3), taps[0], 0, options);
  call.y = axis_of(x.size(2), taps[1], 1, options);
  return call;
}

/// The options of the adjoint for images of the size of `call`'s input.
UpFirDnOptions adjoint(const UpFirDnCall& call, const UpFirDnOptions& options) {
  UpFirDnOptions back = options;
  back.flip_filter = !options.flip_filter;
  std::swap(back.up, back.down);
  for (const auto& [i, a] : {std::pair{0, call.x}, std::pair{2, call.y}}) {
    back.padding[i] = a.taps - 1 - a.pad;
    back.padding[i + 1] = a.in * a.up - a.out * a.down + a.pad - a.up + 1;
  }
  return back;
}

/// Results of a call, in the order in which it takes x.
at::Tensor empty_result(const UpFirDnCall& call, const at::Tensor& x) {
  return at::empty(
      {x.size(0), x.size(1), call.y.out, call.x.out}, x.options(),
      call.channels > 1 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
}

/// A separable filter on channels that lie side by side: down the columns, where whole rows are
/// added, then along the rows.
void run_separable_channels_last(const UpFirDnCall& call, const HostTaps& taps, const at::Tensor& x,
                                 const at::Tensor& y) {
  const UpFirDnAxis single{1, 1, 1, 1, 0, 1};
  UpFirDnCall columns = call, rows = call;
  columns.x = single;
  columns.channels = call.x.in * call.channels;
  rows.y = single;
  rows.planes = call.planes * call.y.out;
  const at::Tensor between = at::empty({rows.planes, call.x.in, call.channels}, x.options());
  upfirdn2d_channels_last_cpu(columns, taps.y.data(), x.const_data_ptr(),
                              between.mutable_data_ptr());
  upfirdn2d_channels_last_cpu(rows, taps.x.data(), between.const_data_ptr(), y.mutable_data_ptr());
}

at::Tensor run_cpu(const UpFirDnCall& call, const at::Tensor& x, const at::Tensor& filter,
                   const UpFirDnOptions& options) {
  const HostTaps taps = host_taps(filter, options.flip_filter, options.gain);
  at::Tensor y = empty_result(call, x);
  if (call.channels > 1) {
    if (taps.separable) {
      run_separable_channels_last(call, taps, x, y);
    } else {
      upfirdn2d_channels_last_cpu(call, taps.full.data(), x.const_data_ptr(), y.mutable_data_ptr());
    }
  } else if (taps.separable) {
    upfirdn2d_separable_cpu(call, taps.x.data(), taps.y.data(), x.const_data_ptr(),
                            y.mutable_data_ptr());
  } else {
    upfirdn2d_full_cpu(call, taps.full.data(), x.const_data_ptr(), y.mutable_data_ptr());
  }
  return y;
}

at::Tensor launch_cuda(const UpFirDnCall& call, const at::Tensor& x, const at::Tensor& matrix,
                       bool flip_filter, double gain) {
  at::Tensor y = empty_result(call, x);
  upfirdn2d_cuda(call, matrix.const_data_ptr(), flip_filter, gain, x.const_data_ptr(),
                 y.mutable_data_ptr(), current_cuda_stream(x));
  return y;
}

at::Tensor run_cuda(const UpFirDnCall& call, const at::Tensor& x, const at::Tensor& filter,
                    const UpFirDnOptions& options) {
  const at::ScalarType type = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor f = filter.defined() ? upload(filter, x.options().dtype(type)).contiguous()
                                        : at::ones({1, 1}, x.options().dtype(type));
  if (f.dim() == 2) return launch_cuda(call, x, f, options.flip_filter, options.gain);
  // One pass per axis; the other axis stays as it is.
  UpFirDnCall rows = call, columns = call;
  rows.y = {call.y.in, call.y.in, 1, 1, 0, 1};
  columns.x = {call.x.out, call.x.out, 1, 1, 0, 1};
  const at::Tensor between =
      launch_cuda(rows, x, f.view({1, -1}), options.flip_filter, options.gain);
  return launch_cuda(columns, between, f.view({-1, 1}), options.flip_filter, 1);
}

/// What a call and its adjoint share. The filter travels here: it may be undefined, and has no
/// gradient. Gradients, too, are laid out as x is.
struct Setup : torch::CustomClassHolder {
  UpFirDnOptions options;
  at::Tensor filter;
  at::MemoryFormat format = at::MemoryFormat::Contiguous;
};
using SetupPtr = c10::intrusive_ptr<Setup>;

class UpFirDn : public torch::autograd::Function<UpFirDn> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const SetupPtr& setup) {
    ctx->set_materialize_grads(false);
    const at::Tensor& filter = setup->filter;
    const UpFirDnCall call = call_for(x, filter_size(filter), setup->options, setup->format);
    auto back = c10::make_intrusive<Setup>();
    back->options = adjoint(call, setup->options);
    back->filter = filter;
    back->format = setup->format;
    ctx->saved_data["adjoint"] = c10::IValue::make_capsule(std::move(back));
    const c10::DeviceGuard device(x.device());
    if (x.numel() == 0)
      return at::zeros({x.size(0), x.size(1), call.y.out, call.x.out}, x.options());
    const at::Tensor source = x.contiguous(setup->format);
    RECORD_FUNCTION("galette::upfirdn2d", {});
    return x.is_cuda() ? run_cuda(call, source, filter, setup->options)
                       : run_cpu(call, source, filter, setup->options);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[0].defined()) return variable_list(2);
    const auto back =
        c10::static_intrusive_pointer_cast<Setup>(ctx->saved_data["adjoint"].toCapsule());
    return {apply(grads[0], back), {}};
  }
};

void check_filter(const at::Tensor& filter) {
  if (!filter.defined()) return;
  TORCH_CHECK((filter.dim() == 1 || filter.dim() == 2) && filter.numel() > 0,
              "upfirdn2d: filter has shape ", filter.sizes(), "; give a vector or a matrix");
  TORCH_CHECK(filter.scalar_type() == at::kFloat || filter.scalar_type() == at::kDouble,
              "upfirdn2d: filter is of type ", filter.scalar_type(), "; give float32 or float64");
  TORCH_CHECK(!filter.requires_grad(), "upfirdn2d: filter requires a gradient, but filters are ",
              "constants; detach it");
}

void check_axis(const char* name, const UpFirDnAxis& a) {
  TORCH_CHECK(a.out >= 1, "upfirdn2d: along ", name, ", ", a.in, " samples upsampled by ", a.up,
              " and padded are fewer than the filter's ", a.taps, " taps; pad more");
}

}  // namespace

AxisPair filter_size(const at::Tensor& filter) {
  if (!filter.defined()) return {1, 1};
  return {filter.size(-1), filter.size(0)};
}

at::Tensor upfirdn2d(const at::Tensor& x, const at::Tensor& filter, const UpFirDnOptions& options) {
  if (computes_as_float32(x)) {
    return upfirdn2d(x.to(at::kFloat), filter, options).to(x.scalar_type());
  }
  checked_element_type(x, "upfirdn2d", "x");
  TORCH_CHECK(x.dim() == 4, "upfirdn2d: x has shape ", x.sizes(), "; give [N, C, H, W]");
  check_filter(filter);
  TORCH_CHECK(std::min({options.up[0], options.up[1], options.down[0], options.down[1]}) >= 1,
              "upfirdn2d: up is (", options.up[0], ", ", options.up[1], "), down is (",
              options.down[0], ", ", options.down[1], "); give factors of 1 or more");
  auto setup = c10::make_intrusive<Setup>();
  setup->options = options;
  setup->filter = filter;
  setup->format = kept_format(x);
  const UpFirDnCall call = call_for(x, filter_size(filter), options, setup->format);
  check_axis("x", call.x);
  check_axis("y", call.y);
  return UpFirDn::apply(x, setup);
}

}  // namespace galette
