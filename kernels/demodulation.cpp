// SPDX-License-Identifier: Apache-2.0
// Checks, autograd and dispatch of demodulation.
#include "kernels/demodulation.h"

#include <ATen/DeviceGuard.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/demodulation_math.h"
#include "kernels/dispatch.h"
#include "kernels/optional_tensor.h"

namespace galette {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

DemodulationCall call_for(const at::Tensor& weight, const at::Tensor& style, bool relative) {
  DemodulationCall call{checked_element_type(weight, "demodulation", "weight"), style.size(0),
                        weight.size(0), weight.size(1)};
  call.taps = weight.numel() / (call.out * call.in);
  call.relative = relative;
  return call;
}

/// What the three operators share.
struct Point {
  at::Tensor weight, style, energy, d;
  bool relative;

  DemodulationCall call() const { return call_for(weight, style, relative); }
  DemodulationPoint data() const {
    return {weight.const_data_ptr(), style.const_data_ptr(), energy.const_data_ptr(),
            d.const_data_ptr()};
  }
  void save(AutogradContext* ctx, const at::Tensor& g = {}) const {
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({weight, style, energy, d, g});
    ctx->saved_data["relative"] = relative;
  }
  static Point saved(AutogradContext* ctx, const variable_list& tensors) {
    return {tensors[0], tensors[1], tensors[2], tensors[3], ctx->saved_data["relative"].toBool()};
  }
};

/// {e_g, e_w, e_s}
class DemodulationCurvature : public torch::autograd::Function<DemodulationCurvature> {
 public:
  static variable_list forward(AutogradContext*, const at::Tensor& g, const at::Tensor& weight,
                               const at::Tensor& style, const at::Tensor& energy,
                               const at::Tensor& d, const OptionalTensor& to_dw,
                               const at::Tensor& to_ds, bool relative) {
    const Point point{weight, style, energy, d, relative};
    const DemodulationCall call = point.call();
    const c10::DeviceGuard guard(g.device());
    const at::Tensor by_dw = to_dw ? to_dw->contiguous() : at::Tensor(), by_ds = to_ds.contiguous();
    const at::Tensor e_g = at::empty_like(g), e_w = at::empty_like(weight),
                     e_s = at::empty_like(style);
    if (g.is_cuda()) {
      const at::Tensor scratch = at::empty({energy.numel() + d.numel()}, g.options());
      demodulation_curvature_cuda(call, point.data(), g.const_data_ptr(), data_or_null(by_dw),
                                  by_ds.const_data_ptr(), e_g.mutable_data_ptr(),
                                  e_w.mutable_data_ptr(), e_s.mutable_data_ptr(),
                                  scratch.mutable_data_ptr(), current_cuda_stream(g));
    } else {
      RECORD_FUNCTION("galette::demodulation_curvature", {});
      demodulation_curvature_cpu(call, point.data(), g.const_data_ptr(), data_or_null(by_dw),
                                 by_ds.const_data_ptr(), e_g.mutable_data_ptr(),
                                 e_w.mutable_data_ptr(), e_s.mutable_data_ptr());
    }
    return {e_g, e_w, e_s};
  }

  static variable_list backward(AutogradContext*, const variable_list&) {
    TORCH_CHECK(false, "demodulation: the third derivative is not implemented");
  }
};

/// {ds} or, when asked for, {ds, dw}.
class DemodulationGradient : public torch::autograd::Function<DemodulationGradient> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& given_g,
                               const at::Tensor& weight, const at::Tensor& style,
                               const at::Tensor& energy, const at::Tensor& d, bool relative,
                               bool wants_weight) {
    const Point point{weight, style, energy, d, relative};
    const DemodulationCall call = point.call();
    const c10::DeviceGuard guard(given_g.device());
    const at::Tensor g = given_g.contiguous();
    point.save(ctx, g);
    const at::Tensor ds = at::empty_like(style),
                     dw = wants_weight ? at::empty_like(weight) : at::Tensor();
    void* const to_weight = wants_weight ? dw.mutable_data_ptr() : nullptr;
    if (g.is_cuda()) {
      demodulation_gradient_cuda(call, point.data(), g.const_data_ptr(), to_weight,
                                 ds.mutable_data_ptr(), current_cuda_stream(g));
    } else {
      RECORD_FUNCTION("galette::demodulation_gradient", {});
      demodulation_gradient_cpu(call, point.data(), g.const_data_ptr(), to_weight,
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
    const variable_list result = DemodulationCurvature::apply(
        saved[4], at.weight, at.style, at.energy, at.d,
        to_dw.defined() ? OptionalTensor(to_dw) : std::nullopt, to_ds, at.relative);
    return {result[0], result[1], result[2], {}, {}, {}, {}};
  }
};

class Demodulation : public torch::autograd::Function<Demodulation> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& weight, const at::Tensor& style,
                            bool relative) {
    const DemodulationCall call = call_for(weight, style, relative);
    const c10::DeviceGuard guard(weight.device());
    const Point point{weight, style, at::empty({call.out, call.in}, weight.options()),
                      at::empty({call.samples, call.out}, weight.options()), relative};
    point.save(ctx);
    if (weight.is_cuda()) {
      demodulation_forward_cuda(call, weight.const_data_ptr(), style.const_data_ptr(),
                                point.energy.mutable_data_ptr(), point.d.mutable_data_ptr(),
                                current_cuda_stream(weight));
    } else {
      RECORD_FUNCTION("galette::demodulation", {});
      demodulation_forward_cpu(call, weight.const_data_ptr(), style.const_data_ptr(),
                               point.energy.mutable_data_ptr(), point.d.mutable_data_ptr());
    }
    return point.d;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    variable_list result(3);
    if (!grads[0].defined()) return result;
    const Point at = Point::saved(ctx, ctx->get_saved_variables());
    const bool wants_weight = ctx->needs_input_grad(0);
    // As a constant: the gradient finds its way back through weight and style.
    const variable_list gradient = DemodulationGradient::apply(
        grads[0], at.weight, at.style, at.energy, at.d.detach(), at.relative, wants_weight);
    if (wants_weight) result[0] = gradient[1];
    result[1] = gradient[0];
    return result;
  }
};

void check(const at::Tensor& weight, const at::Tensor& style) {
  TORCH_CHECK((weight.dim() == 2 || weight.dim() == 4) && style.dim() == 2 &&
                  weight.size(1) == style.size(1),
              "demodulation: weight has shape ", weight.sizes(), " and style ", style.sizes(),
              "; give [O, I] or [O, I, kh, kw], and [N, I]");
  check_real_pair("demodulation", weight, style);
}

at::Tensor plain(const at::Tensor& weight, const at::Tensor& style, DemodulationEpsilon epsilon) {
  const at::Tensor squares = weight.square();
  const at::Tensor energy = weight.dim() == 4 ? squares.sum({2, 3}) : squares;
  const at::Tensor sums = at::mm(style.square(), energy.t());
  if (epsilon == DemodulationEpsilon::absolute) return (sums + kDemodulationEpsilon).rsqrt();
  const double taps = weight.dim() == 4 ? static_cast<double>(weight.size(2) * weight.size(3)) : 1;
  const at::Tensor powers = style.square().mean({1}, true) * (energy.mean({1}) / taps);  // [N, O]
  return (sums + kDemodulationEpsilon * powers).rsqrt();
}

}  // namespace

at::Tensor demodulation(const at::Tensor& weight, const at::Tensor& style,
                        DemodulationEpsilon epsilon) {
  check(weight, style);
  if (kernel_path() == KernelPath::plain || weight.numel() == 0 || style.numel() == 0)
    return plain(weight, style, epsilon);
  return Demodulation::apply(weight.contiguous(), style.contiguous(),
                             epsilon == DemodulationEpsilon::relative);
}

}  // namespace galette
