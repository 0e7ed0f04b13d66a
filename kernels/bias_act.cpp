// SPDX-License-Identifier: Apache-2.0
// Checks, autograd and dispatch of bias_act. Three operators, each the derivative of the one
// before: BiasAct: x, bias -> y;  BiasActGradient: dy -> dx, db (linear in dy);  BiasActCurvature:
// the dependence of dx on x. Except for swish, dx depends on x through y alone, so the last two are
// functions of y, and autograd leads the second derivative from y back to x.
#include "kernels/bias_act.h"

#include <cmath>

#include <ATen/DeviceGuard.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include "kernels/dispatch.h"
#include "kernels/optional_tensor.h"

namespace galette {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// What the three operators of one call share.
struct Setup : torch::CustomClassHolder {
  BiasActCall call;
  int64_t dim = 0;
  at::MemoryFormat format = at::MemoryFormat::Contiguous;
};
using SetupPtr = c10::intrusive_ptr<Setup>;

constexpr char kSetup[] = "setup";
constexpr char kHasBias[] = "has_bias";

SetupPtr setup_of(AutogradContext* ctx) {
  return c10::static_intrusive_pointer_cast<Setup>(ctx->saved_data[kSetup].toCapsule());
}

bool is_swish(const Setup& setup) {
  return setup.call.act == Activation::kSwish;
}

/// Whether the gradient depends on x beyond steps.
bool is_curved(const Setup& setup) {
  const Activation act = setup.call.act;
  return act != Activation::kLinear && act != Activation::kRelu && act != Activation::kLrelu;
}

/// Whether the gradient is a constant factor.
bool is_scaling(const Setup& setup) {
  return setup.call.act == Activation::kLinear && !setup.call.has_clamp;
}

/// The call with the layout of `x`; without channels it is one flat run.
BiasActCall call_for(const Setup& setup, const at::Tensor& x, bool with_channels) {
  BiasActCall call = setup.call;
  call.inner = x.numel();
  if (!with_channels || x.size(setup.dim) == 1) return call;
  call.channels = x.size(setup.dim);
  call.inner = 1;
  for (int64_t axis = 0; axis < x.dim(); ++axis) {
    const bool before = axis < setup.dim || setup.format == at::MemoryFormat::ChannelsLast;
    if (axis != setup.dim) (before ? call.outer : call.inner) *= x.size(axis);
  }
  return call;
}

at::Tensor sum_to_bias(const at::Tensor& dx, int64_t dim) {
  std::vector<int64_t> axes;
  for (int64_t axis = 0; axis < dx.dim(); ++axis)
    if (axis != dim) axes.push_back(axis);
  return axes.empty() ? dx : dx.sum(axes);
}

at::Tensor along_bias(const at::Tensor& bias, const at::Tensor& like, int64_t dim) {
  std::vector<int64_t> shape(like.dim(), 1);
  shape[dim] = bias.numel();
  return bias.view(shape);
}

class BiasActCurvature : public torch::autograd::Function<BiasActCurvature> {
 public:
  static at::Tensor forward(AutogradContext*, const at::Tensor& dy, const at::Tensor& e,
                            const at::Tensor& reference, const OptionalTensor& given_bias,
                            const SetupPtr& setup) {
    const at::Tensor bias = given_bias.value_or(at::Tensor());
    const c10::DeviceGuard guard(dy.device());
    const BiasActCall call = call_for(*setup, reference, bias.defined());
    const at::Tensor d = dy.contiguous(setup->format), c = e.contiguous(setup->format);
    const at::Tensor h = at::empty_like(d);
    if (h.numel() == 0) return h;
    if (h.is_cuda()) {
      bias_act_curvature_cuda(call, d.const_data_ptr(), c.const_data_ptr(),
                              reference.const_data_ptr(), data_or_null(bias), h.mutable_data_ptr(),
                              current_cuda_stream(h));
    } else {
      RECORD_FUNCTION("galette::bias_act_curvature", {});
      bias_act_curvature_cpu(call, d.const_data_ptr(), c.const_data_ptr(),
                             reference.const_data_ptr(), data_or_null(bias), h.mutable_data_ptr());
    }
    return h;
  }

  static variable_list backward(AutogradContext*, const variable_list&) {
    TORCH_CHECK(false, "bias_act: the third derivative is not implemented");
  }
};

class BiasActGradient : public torch::autograd::Function<BiasActGradient> {
 public:
  /// Returns {dx} or, when asked for, {dx, db}.
  static variable_list forward(AutogradContext* ctx, const at::Tensor& dy,
                               const at::Tensor& reference, const OptionalTensor& given_bias,
                               const SetupPtr& setup, bool wants_db) {
    const at::Tensor bias = given_bias.value_or(at::Tensor());
    ctx->set_materialize_grads(false);
    ctx->saved_data[kSetup] = c10::IValue::make_capsule(setup);
    ctx->save_for_backward({is_curved(*setup) ? dy : at::Tensor(), reference, bias});
    const c10::DeviceGuard guard(dy.device());
    const at::Tensor d = dy.contiguous(setup->format);
    const at::Tensor dx = at::empty_like(d);
    // Only swish computes with the bias; elsewhere it stands for its place in the graph.
    const at::Tensor used_bias = is_swish(*setup) ? bias : at::Tensor();
    if (dx.is_cuda()) return gradient_cuda(*setup, d, reference, used_bias, dx, wants_db);
    const BiasActCall call = call_for(*setup, dx, wants_db || used_bias.defined());
    at::Tensor db;
    if (wants_db) db = at::empty({dx.size(setup->dim)}, dx.options());
    if (dx.numel() == 0) {
      if (wants_db) db.zero_();
    } else {
      RECORD_FUNCTION("galette::bias_act_gradient", {});
      bias_act_gradient_cpu(call, d.const_data_ptr(), reference.const_data_ptr(),
                            data_or_null(used_bias), dx.mutable_data_ptr(),
                            wants_db ? db.mutable_data_ptr() : nullptr);
    }
    return wants_db ? variable_list{dx, db} : variable_list{dx};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const SetupPtr setup = setup_of(ctx);
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &dy = saved[0], &reference = saved[1], &bias = saved[2];
    at::Tensor e = grads[0];
    if (grads.size() > 1 && grads[1].defined()) {
      const at::Tensor row = along_bias(grads[1], reference, setup->dim);
      e = e.defined() ? e + row : row.expand_as(reference);
    }
    if (!e.defined()) return variable_list(5);
    at::Tensor to_dy, to_reference, to_bias;
    if (ctx->needs_input_grad(0)) to_dy = apply(e, reference, optional_of(bias), setup, false)[0];
    const bool wants_bias = bias.defined() && ctx->needs_input_grad(2);
    if (is_curved(*setup) && (ctx->needs_input_grad(1) || wants_bias))
      to_reference = BiasActCurvature::apply(dy, e, reference, optional_of(bias), setup);
    // A step's slope does not depend on the bias, yet the loss does: its gradient is zero, which an
    // optimiser with momentum tells from none.
    if (wants_bias) {
      to_bias = is_curved(*setup) ? sum_to_bias(to_reference, setup->dim) : at::zeros_like(bias);
    }
    return {to_dy, to_reference, to_bias, {}, {}};
  }

 private:
  static variable_list gradient_cuda(const Setup& setup, const at::Tensor& dy,
                                     const at::Tensor& reference, const at::Tensor& bias,
                                     const at::Tensor& dx, bool wants_db) {
    if (dx.numel() > 0) {
      bias_act_gradient_cuda(call_for(setup, dx, bias.defined()), dy.const_data_ptr(),
                             reference.const_data_ptr(), data_or_null(bias), dx.mutable_data_ptr(),
                             current_cuda_stream(dx));
    }
    return wants_db ? variable_list{dx, sum_to_bias(dx, setup.dim)} : variable_list{dx};
  }
};

class BiasAct : public torch::autograd::Function<BiasAct> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const OptionalTensor& given_bias, const SetupPtr& setup) {
    const at::Tensor bias = given_bias.value_or(at::Tensor());
    ctx->set_materialize_grads(false);
    ctx->saved_data[kHasBias] = bias.defined();
    ctx->saved_data[kSetup] = c10::IValue::make_capsule(setup);
    const c10::DeviceGuard guard(x.device());
    const at::Tensor source = x.contiguous(setup->format);
    const at::Tensor y = at::empty_like(source);
    run(call_for(*setup, source, bias.defined()), source, bias, y);
    if (is_swish(*setup)) {
      ctx->save_for_backward({x, bias});
    } else if (!is_scaling(*setup)) {
      const bool has_kink = setup->call.act != Activation::kLinear && !is_curved(*setup);
      ctx->save_for_backward({y, has_kink ? bias : at::Tensor()});
    }
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const SetupPtr setup = setup_of(ctx);
    const at::Tensor& dy = grads[0];
    if (!dy.defined()) return variable_list(3);
    const bool wants_db = ctx->saved_data[kHasBias].toBool() && ctx->needs_input_grad(1);
    if (is_scaling(*setup)) {
      const at::Tensor dx = setup->call.gain == 1 ? dy : dy * setup->call.gain;
      return {dx, wants_db ? sum_to_bias(dx, setup->dim) : at::Tensor(), {}};
    }
    const variable_list saved = ctx->get_saved_variables();
    // Steps have no slope: cutting them off spares autograd the way through y.
    const at::Tensor reference = is_curved(*setup) ? saved[0] : saved[0].detach();
    variable_list result = BiasActGradient::apply(dy, reference.contiguous(setup->format),
                                                  optional_of(saved[1]), setup, wants_db);
    return {result[0], wants_db ? result[1] : at::Tensor(), {}};
  }

 private:
  static void run(const BiasActCall& call, const at::Tensor& x, const at::Tensor& bias,
                  const at::Tensor& y) {
    if (y.numel() == 0) return;
    if (y.is_cuda()) {
      bias_act_forward_cuda(call, x.const_data_ptr(), data_or_null(bias), y.mutable_data_ptr(),
                            current_cuda_stream(y));
    } else {
      RECORD_FUNCTION("galette::bias_act", {});
      bias_act_forward_cpu(call, x.const_data_ptr(), data_or_null(bias), y.mutable_data_ptr());
    }
  }
};

void check_same_kind(const at::Tensor& x, const at::Tensor& bias) {
  TORCH_CHECK(bias.scalar_type() == x.scalar_type() && bias.device() == x.device(),
              "bias_act: bias is ", bias.scalar_type(), " on ", bias.device(), ", x is ",
              x.scalar_type(), " on ", x.device(), "; give both the same type and device");
}

void check_bias(const at::Tensor& x, const at::Tensor& bias, int64_t dim) {
  TORCH_CHECK(bias.dim() == 1 && bias.numel() == x.size(dim), "bias_act: bias has shape ",
              bias.sizes(), ", but axis ", dim, " of x, of shape ", x.sizes(), ", wants [",
              x.size(dim), "]");
  check_same_kind(x, bias);
}

BiasActCall checked_call(const at::Tensor& x, Activation act, const BiasActOptions& options) {
  BiasActCall call;
  call.type = checked_element_type(x, "bias_act", "x");
  call.act = act;
  call.alpha = options.alpha.value_or(0.2);
  call.gain = options.gain.value_or(default_gain(act));
  call.has_clamp = options.clamp.has_value();
  call.clamp = options.clamp.value_or(0);
  TORCH_CHECK(x.dim() >= 1, "bias_act: x is a scalar; give a tensor of rank 1 or more");
  TORCH_CHECK(call.clamp >= 0, "bias_act: clamp is ", call.clamp, "; give 0 or more");
  TORCH_CHECK(call.alpha >= 0 || act != Activation::kLrelu, "bias_act: alpha is ", call.alpha,
              "; give 0 or more");
  TORCH_CHECK(call.gain > 0 || (act == Activation::kLinear && !std::isnan(call.gain)),
              "bias_act: gain is ", call.gain, "; give a positive one");
  return call;
}

/// For 16-bit tensors on the CPU, whose body knows float32 and float64.
at::Tensor bias_act_as_float32(const at::Tensor& x, const OptionalTensor& bias, Activation act,
                               const BiasActOptions& options) {
  OptionalTensor wide_bias;
  if (bias && bias->defined()) {
    check_same_kind(x, *bias);
    wide_bias = bias->to(at::kFloat);
  }
  return bias_act(x.to(at::kFloat), wide_bias, act, options).to(x.scalar_type());
}

}  // namespace

Activation activation_from_name(std::string_view name) {
  static constexpr std::string_view kNames[] = {"linear", "relu", "lrelu",    "tanh", "sigmoid",
                                                "elu",    "selu", "softplus", "swish"};
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (kNames[i] == name) return static_cast<Activation>(i);
  TORCH_CHECK(false, "bias_act: no activation is called '", name, "'; give linear, relu, lrelu, ",
              "tanh, sigmoid, elu, selu, softplus or swish");
}

double default_gain(Activation act) {
  const bool halves_variance =
      act == Activation::kRelu || act == Activation::kLrelu || act == Activation::kSwish;
  return halves_variance ? std::sqrt(2.0) : 1.0;
}

at::Tensor bias_act(const at::Tensor& x, const std::optional<at::Tensor>& bias, Activation act,
                    const BiasActOptions& options) {
  if (computes_as_float32(x)) return bias_act_as_float32(x, bias, act, options);
  auto setup = c10::make_intrusive<Setup>();
  setup->call = checked_call(x, act, options);
  const at::Tensor b = bias.value_or(at::Tensor());
  if (b.defined()) {
    TORCH_CHECK(options.dim >= -x.dim() && options.dim < x.dim(), "bias_act: dim is ", options.dim,
                ", but x has shape ", x.sizes());
    setup->dim = options.dim < 0 ? options.dim + x.dim() : options.dim;
    check_bias(x, b, setup->dim);
  }
  if (is_scaling(*setup) && setup->call.gain == 1 && !b.defined()) return x;
  if (!b.defined() || setup->dim == 1) setup->format = kept_format(x);
  return BiasAct::apply(x, optional_of(b.defined() ? b.contiguous() : b), setup);
}

}  // namespace galette
