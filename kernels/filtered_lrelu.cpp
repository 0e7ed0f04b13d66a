// SPDX-License-Identifier: Apache-2.0
// Checks, autograd and dispatch of filtered_lrelu. Given the codes, the operator is linear in its
// data: its adjoint is the same operator with the transposed stages exchanged, so one autograd
// function gives the derivatives of all orders.
#include "kernels/filtered_lrelu.h"

#include <cmath>
#include <limits>

#include <ATen/DeviceGuard.h>
#include <ATen/core/grad_mode.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include "kernels/dispatch.h"
#include "kernels/filtered_lrelu_math.h"
#include "kernels/fir_taps.h"
#include "kernels/optional_tensor.h"
#include "kernels/upload.h"

namespace galette {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// The filter of a stage. It is a constant, and read as it is: what differs between uses is here.
struct StageFilter {
  at::Tensor values;       ///< 1-D for both axes, 2-D, or undefined: identity
  bool is_turned = false;  ///< reversed along all axes
  double gain = 1;         ///< of both axes together

  StageFilter turned() const { return {values, !is_turned, gain}; }
};

/// What a call and its derivatives share.
struct Setup : torch::CustomClassHolder {
  FilteredLreluCall call;
  StageFilter up, down;
};
using SetupPtr = c10::intrusive_ptr<Setup>;

/// On GPUs the values lie there, in the type that the body computes in.
StageFilter stage_filter(const at::Tensor& x, const at::Tensor& filter, bool flip, double gain) {
  StageFilter stage{filter, !flip, gain};
  if (!filter.defined() || x.is_cpu()) return stage;
  const at::ScalarType type = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  stage.values = upload(filter, x.options().dtype(type)).contiguous();
  return stage;
}

SetupPtr adjoint(const Setup& setup) {
  auto back = c10::make_intrusive<Setup>();
  back->call = setup.call;
  back->call.codes = LreluCodes::read;
  back->call.up_x = transposed(setup.call.down_x);
  back->call.up_y = transposed(setup.call.down_y);
  back->call.down_x = transposed(setup.call.up_x);
  back->call.down_y = transposed(setup.call.up_y);
  back->up = setup.down.turned();
  back->down = setup.up.turned();
  return back;
}

LreluTaps views(const HostTaps& taps) {
  if (taps.separable) return {taps.x.data(), taps.y.data(), nullptr};
  return {nullptr, nullptr, taps.full.data()};
}

HostTaps taps_of(const StageFilter& filter) {
  return host_taps(filter.values, !filter.is_turned, filter.gain);
}

DeviceTaps device_taps(const StageFilter& filter) {
  const at::Tensor& values = filter.values;
  return {values.defined() ? values.const_data_ptr() : nullptr,
          values.defined() && values.dim() == 1, filter.is_turned, filter.gain};
}

/// x [N, C, H, W] -> y; writes or reads `codes` as the call says.
at::Tensor run(const Setup& setup, const at::Tensor& input, const at::Tensor& bias,
               const at::Tensor& codes) {
  FilteredLreluCall call = setup.call;
  const at::Tensor x = input.contiguous();
  call.planes = x.size(0) * x.size(1);
  call.channels = x.size(1);
  at::Tensor y = at::empty({x.size(0), x.size(1), call.down_y.out, call.down_x.out}, x.options());
  if (y.numel() == 0) return y;
  const c10::DeviceGuard device(x.device());
  const void* const b = bias.defined() ? bias.const_data_ptr() : nullptr;
  uint8_t* const c = codes.defined() ? codes.mutable_data_ptr<uint8_t>() : nullptr;
  RECORD_FUNCTION("galette::filtered_lrelu", {});
  if (x.is_cuda()) {
    filtered_lrelu_cuda(call, device_taps(setup.up), device_taps(setup.down), x.const_data_ptr(), b,
                        c, y.mutable_data_ptr(), current_cuda_stream(x));
  } else {
    const HostTaps up = taps_of(setup.up), down = taps_of(setup.down);
    filtered_lrelu_cpu(call, views(up), views(down), x.const_data_ptr(), b, c,
                       y.mutable_data_ptr());
  }
  return y;
}

/// The operator with recorded codes.
class CodedLrelu : public torch::autograd::Function<CodedLrelu> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& codes,
                            const SetupPtr& setup) {
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({codes});
    ctx->saved_data["setup"] = c10::IValue::make_capsule(setup);
    return run(*setup, x, {}, codes);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[0].defined()) return variable_list(3);
    const auto setup =
        c10::static_intrusive_pointer_cast<Setup>(ctx->saved_data["setup"].toCapsule());
    return {apply(grads[0], ctx->get_saved_variables()[0], adjoint(*setup)), {}, {}};
  }
};

class FilteredLrelu : public torch::autograd::Function<FilteredLrelu> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const OptionalTensor& given_bias, const SetupPtr& setup) {
    ctx->set_materialize_grads(false);
    ctx->saved_data["has_bias"] = given_bias.has_value();
    const at::Tensor bias = given_bias.value_or(at::Tensor());
    at::Tensor codes;
    if (setup->call.codes == LreluCodes::write) {
      const CodeLayout layout = code_layout(setup->call);
      codes = at::empty({x.size(0) * x.size(1), layout.rows, layout.columns()},
                        x.options().dtype(at::kByte));
      ctx->save_for_backward({codes});
      ctx->saved_data["setup"] = c10::IValue::make_capsule(setup);
    }
    return run(*setup, x, bias, codes);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[0].defined()) return variable_list(3);
    const auto setup =
        c10::static_intrusive_pointer_cast<Setup>(ctx->saved_data["setup"].toCapsule());
    const at::Tensor dx =
        CodedLrelu::apply(grads[0], ctx->get_saved_variables()[0], adjoint(*setup));
    at::Tensor db;
    if (ctx->saved_data["has_bias"].toBool() && ctx->needs_input_grad(1)) db = dx.sum({0, 2, 3});
    return {dx, db, {}};
  }
};

void check_filter(const at::Tensor& filter, const char* name) {
  if (!filter.defined()) return;
  TORCH_CHECK((filter.dim() == 1 || filter.dim() == 2) && filter.numel() > 0,
              "filtered_lrelu: ", name, " has shape ", filter.sizes(),
              "; give a vector or a matrix");
  TORCH_CHECK(filter.scalar_type() == at::kFloat || filter.scalar_type() == at::kDouble,
              "filtered_lrelu: ", name, " is of type ", filter.scalar_type(),
              "; give float32 or float64");
  TORCH_CHECK(!filter.requires_grad(), "filtered_lrelu: ", name,
              " requires a gradient, but filters are constants; detach it");
}

void check_bias(const at::Tensor& x, const at::Tensor& bias) {
  TORCH_CHECK(bias.dim() == 1 && bias.numel() == x.size(1), "filtered_lrelu: bias has shape ",
              bias.sizes(), ", but x of shape ", x.sizes(), " wants [", x.size(1), "]");
  TORCH_CHECK(bias.scalar_type() == x.scalar_type() && bias.device() == x.device(),
              "filtered_lrelu: bias is ", bias.scalar_type(), " on ", bias.device(), ", x is ",
              x.scalar_type(), " on ", x.device(), "; give both the same type and device");
}

void check_options(const FilteredLreluOptions& o) {
  TORCH_CHECK(o.up >= 1 && o.down >= 1, "filtered_lrelu: up is ", o.up, ", down is ", o.down,
              "; give factors of 1 or more");
  TORCH_CHECK(o.gain > 0, "filtered_lrelu: gain is ", o.gain, "; give a positive one");
  TORCH_CHECK(o.slope >= 0, "filtered_lrelu: slope is ", o.slope, "; give 0 or more");
  TORCH_CHECK(!o.clamp || *o.clamp >= 0, "filtered_lrelu: clamp is ", o.clamp.value_or(0),
              "; give 0 or more");
}

/// Fills in the two stages of one axis: samples in, padding p0 and p1, filters of given lengths.
void set_axis(const char* name, int64_t in, int64_t p0, int64_t p1, int64_t up_taps,
              int64_t down_taps, const FilteredLreluOptions& o, UpFirDnAxis& up,
              UpFirDnAxis& down) {
  const int64_t between = in * o.up + p0 + p1 - up_taps + 1;
  TORCH_CHECK(between >= down_taps, "filtered_lrelu: along ", name, ", ", in,
              " samples upsampled by ", o.up, " and padded are fewer than the filters' ", up_taps,
              " and ", down_taps, " taps; pad more");
  const int64_t out = (between - down_taps) / o.down + 1;
  // What the second stage sees; up to down - 1 values at the end are never used.
  const int64_t mid = (out - 1) * o.down + down_taps;
  up = {in, mid, o.up, 1, p0, up_taps};
  down = {mid, out, 1, o.down, 0, down_taps};
}

SetupPtr make_setup(const at::Tensor& x, const at::Tensor& up_filter, const at::Tensor& down_filter,
                    const FilteredLreluOptions& o) {
  auto setup = c10::make_intrusive<Setup>();
  FilteredLreluCall& call = setup->call;
  const AxisPair fu = filter_size(up_filter), fd = filter_size(down_filter);
  set_axis("x", x.size(3), o.padding[0], o.padding[1], fu[0], fd[0], o, call.up_x, call.down_x);
  set_axis("y", x.size(2), o.padding[2], o.padding[3], fu[1], fd[1], o, call.up_y, call.down_y);
  call.type = checked_element_type(x, "filtered_lrelu", "x");
  call.slope = o.slope;
  call.clamp = o.clamp.value_or(std::numeric_limits<double>::infinity());
  const double gain = o.gain * static_cast<double>(o.up * o.up);
  setup->up = stage_filter(x, up_filter, o.flip_filter, gain);
  setup->down = stage_filter(x, down_filter, o.flip_filter, 1);
  return setup;
}

}  // namespace

at::Tensor filtered_lrelu(const at::Tensor& x, const OptionalTensor& given_bias,
                          const at::Tensor& up_filter, const at::Tensor& down_filter,
                          const FilteredLreluOptions& options) {
  TORCH_CHECK(x.defined() && x.dim() == 4, "filtered_lrelu: x has shape ",
              x.defined() ? x.sizes() : at::IntArrayRef(), "; give [N, C, H, W]");
  const bool has_bias = given_bias && given_bias->defined();
  if (has_bias) check_bias(x, *given_bias);
  if (computes_as_float32(x)) {
    const OptionalTensor wide =
        has_bias ? OptionalTensor(given_bias->to(at::kFloat)) : std::nullopt;
    return filtered_lrelu(x.to(at::kFloat), wide, up_filter, down_filter, options)
        .to(x.scalar_type());
  }
  checked_element_type(x, "filtered_lrelu", "x");
  check_filter(up_filter, "up_filter");
  check_filter(down_filter, "down_filter");
  check_options(options);
  const SetupPtr setup = make_setup(x, up_filter, down_filter, options);
  const bool differentiable = at::GradMode::is_enabled() &&
                              (x.requires_grad() || (has_bias && given_bias->requires_grad()));
  if (differentiable) setup->call.codes = LreluCodes::write;
  return FilteredLrelu::apply(x, has_bias ? OptionalTensor(given_bias->contiguous()) : std::nullopt,
                              setup);
}

}  // namespace galette
