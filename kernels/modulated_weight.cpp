// SPDX-License-Identifier: Apache-2.0
// Checks, autograd and dispatch of modulated_weight.
#include "kernels/modulated_weight.h"

#include <ATen/DeviceGuard.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/dispatch.h"
#include "kernels/modulated_weight_math.h"
#include "kernels/optional_tensor.h"

namespace galette {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

ModulatedWeightCall call_for(const at::Tensor& weight, const at::Tensor& style, bool demodulate,
                             double gain) {
  return {checked_element_type(weight, "modulated_weight", "weight"),
          style.size(0),
          weight.size(0),
          weight.size(1),
          demodulate,
          gain};
}

at::Tensor sums_for(const ModulatedWeightCall& call, const at::Tensor& like) {
  return at::empty({kModulatedWeightSums, call.samples, call.out}, like.options());
}

/// What the three operators share: arguments and d, undefined without demodulation.
struct Point {
  at::Tensor weight, style, d;
  bool demodulate;
  double gain;

  ModulatedWeightCall call() const { return call_for(weight, style, demodulate, gain); }
  ModulatedWeightPoint data() const {
    return {weight.const_data_ptr(), style.const_data_ptr(),
            demodulate ? d.const_data_ptr() : nullptr};
  }
  void save(AutogradContext* ctx, const at::Tensor& dy = {}) const {
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({weight, style, d, dy});
    ctx->saved_data["demodulate"] = demodulate;
    ctx->saved_data["gain"] = gain;
  }
  static Point saved(AutogradContext* ctx, const variable_list& tensors) {
    return {tensors[0], tensors[1], tensors[2], ctx->saved_data["demodulate"].toBool(),
            ctx->saved_data["gain"].toDouble()};
  }
};

/// {e_dy, e_w, e_s}
class ModulatedWeightCurvature : public torch::autograd::Function<ModulatedWeightCurvature> {
 public:
  static variable_list forward(AutogradContext*, const at::Tensor& dy, const at::Tensor& weight,
                               const at::Tensor& style, const OptionalTensor& d,
                               const OptionalTensor& to_dw, const at::Tensor& to_ds,
                               bool demodulate, double gain) {
    const Point point{weight, style, d.value_or(at::Tensor()), demodulate, gain};
    const ModulatedWeightCall call = point.call();
    const c10::DeviceGuard guard(dy.device());
    const at::Tensor by_dw = to_dw ? to_dw->contiguous() : at::Tensor(), by_ds = to_ds.contiguous();
    const at::Tensor e_dy = at::empty_like(dy), e_w = at::empty_like(weight),
                     e_s = at::empty_like(style);
    if (dy.is_cuda()) {
      modulated_weight_curvature_cuda(
          call, point.data(), dy.const_data_ptr(), data_or_null(by_dw), by_ds.const_data_ptr(),
          e_dy.mutable_data_ptr(), e_w.mutable_data_ptr(), e_s.mutable_data_ptr(),
          sums_for(call, dy).mutable_data_ptr(), current_cuda_stream(dy));
    } else {
      RECORD_FUNCTION("galette::modulated_weight_curvature", {});
      modulated_weight_curvature_cpu(call, point.data(), dy.const_data_ptr(), data_or_null(by_dw),
                                     by_ds.const_data_ptr(), e_dy.mutable_data_ptr(),
                                     e_w.mutable_data_ptr(), e_s.mutable_data_ptr());
    }
    return {e_dy, e_w, e_s};
  }

  static variable_list backward(AutogradContext*, const variable_list&) {
    TORCH_CHECK(false, "modulated_weight: the third derivative is not implemented");
  }
};

/// {ds} or, when asked for, {ds, dw}.
class ModulatedWeightGradient : public torch::autograd::Function<ModulatedWeightGradient> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& given_dy,
                               const at::Tensor& weight, const at::Tensor& style,
                               const OptionalTensor& d, bool demodulate, double gain,
                               bool wants_weight) {
    const Point point{weight, style, d.value_or(at::Tensor()), demodulate, gain};
    const ModulatedWeightCall call = point.call();
    const c10::DeviceGuard guard(given_dy.device());
    const at::Tensor dy = given_dy.contiguous();
    point.save(ctx, dy);
    const at::Tensor ds = at::empty_like(style),
                     dw = wants_weight ? at::empty_like(weight) : at::Tensor();
    void* const to_weight = wants_weight ? dw.mutable_data_ptr() : nullptr;
    if (dy.is_cuda()) {
      modulated_weight_gradient_cuda(call, point.data(), dy.const_data_ptr(), to_weight,
                                     ds.mutable_data_ptr(), sums_for(call, dy).mutable_data_ptr(),
                                     current_cuda_stream(dy));
    } else {
      RECORD_FUNCTION("galette::modulated_weight_gradient", {});
      modulated_weight_gradient_cpu(call, point.data(), dy.const_data_ptr(), to_weight,
                                    ds.mutable_data_ptr());
    }
    return wants_weight ? variable_list{ds, dw} : variable_list{ds};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Point at = Point::saved(ctx, saved);
    const at::Tensor to_dw = grads.size() > 1 ? grads[1] : at::Tensor();
    if (!grads[0].defined() && !to_dw.defined()) return variable_list(7);
    const at::Tensor to_ds = grads[0].defined() ? grads[0] : at::zeros_like(at.style);
    const variable_list result =
        ModulatedWeightCurvature::apply(saved[3], at.weight, at.style, optional_of(at.d),
                                        optional_of(to_dw), to_ds, at.demodulate, at.gain);
    return {result[0], result[1], result[2], {}, {}, {}, {}};
  }
};

class ModulatedWeight : public torch::autograd::Function<ModulatedWeight> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& weight, const at::Tensor& style,
                            bool demodulate, double gain) {
    Point point{weight, style, {}, demodulate, gain};
    const ModulatedWeightCall call = point.call();
    const c10::DeviceGuard guard(weight.device());
    const at::Tensor y = at::empty({call.samples, call.out, call.in}, weight.options());
    if (demodulate) point.d = at::empty({call.samples, call.out}, weight.options());
    point.save(ctx);
    void* const d = demodulate ? point.d.mutable_data_ptr() : nullptr;
    if (weight.is_cuda()) {
      modulated_weight_forward_cuda(call, weight.const_data_ptr(), style.const_data_ptr(),
                                    y.mutable_data_ptr(), d, current_cuda_stream(weight));
    } else {
      RECORD_FUNCTION("galette::modulated_weight", {});
      modulated_weight_forward_cpu(call, weight.const_data_ptr(), style.const_data_ptr(),
                                   y.mutable_data_ptr(), d);
    }
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    variable_list result(4);
    if (!grads[0].defined()) return result;
    const Point at = Point::saved(ctx, ctx->get_saved_variables());
    const bool wants_weight = ctx->needs_input_grad(0);
    const variable_list gradient = ModulatedWeightGradient::apply(
        grads[0], at.weight, at.style, optional_of(at.d), at.demodulate, at.gain, wants_weight);
    if (wants_weight) result[0] = gradient[1];
    result[1] = gradient[0];
    return result;
  }
};

void check(const at::Tensor& weight, const at::Tensor& style) {
  TORCH_CHECK(weight.dim() == 2 && style.dim() == 2 && weight.size(1) == style.size(1),
              "modulated_weight: weight has shape ", weight.sizes(), " and style ", style.sizes(),
              "; give [O, I] and [N, I]");
  check_real_pair("modulated_weight", weight, style);
}

at::Tensor plain(const at::Tensor& weight, const at::Tensor& style, bool demodulate, double gain) {
  at::Tensor scaled = weight.unsqueeze(0) * (style * gain).unsqueeze(1);
  if (!demodulate) return scaled;
  const at::Tensor energy = at::mm(style.square(), weight.square().t());
  return scaled * (energy + kDemodulationEpsilon).rsqrt().unsqueeze(2);
}

}  // namespace

at::Tensor modulated_weight(const at::Tensor& weight, const at::Tensor& style, bool demodulate,
                            double gain) {
  check(weight, style);
  if (kernel_path() == KernelPath::plain || weight.numel() == 0 || style.numel() == 0)
    return plain(weight, style, demodulate, gain);
  return ModulatedWeight::apply(weight.contiguous(), style.contiguous(), demodulate, gain);
}

}  // namespace galette
