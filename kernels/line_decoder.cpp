// SPDX-License-Identifier: Apache-2.0
// Autograd and dispatch of line_decoder. Inside, the parameters of all layers are one tensor, and
// three operators each are the derivative of the one before: LineDecoder, its gradient with respect
// to the sum of lines and the parameters, and the cotangents of that. What the lines get follows
// from ds by two products of LibTorch, which differentiate themselves.
#include "kernels/line_decoder.h"

#include <algorithm>
#include <iterator>

#include <ATen/DeviceGuard.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include "kernels/dispatch.h"
#include "kernels/line_decoder_call.h"
#include "kernels/line_decoder_plain.h"
#include "kernels/optional_tensor.h"

namespace galette {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Setup : torch::CustomClassHolder {
  LineDecoderCall call;
};
using SetupPtr = c10::intrusive_ptr<Setup>;

constexpr char kSetup[] = "setup";
constexpr char kNoThirdDerivative[] = "line_decoder: the third derivative is not implemented";

/// What a derivative is taken at. Biases of heads are apart, because the gradient does not depend
/// on them at all: in the second derivative they are absent, as for any linear layer. Tensors that
/// may be absent come last among the arguments of the operators, since autograd does not count
/// them.
struct Point {
  at::Tensor rows, columns, parameters;
  OptionalTensor head_biases, x;

  /// All that a body takes; `all_parameters` must outlive the result.
  LineDecoderInputs inputs(at::Tensor& all_parameters) const {
    all_parameters = head_biases ? at::cat({parameters, *head_biases}, 1) : parameters;
    return {x ? x->const_data_ptr() : nullptr, rows.const_data_ptr(), columns.const_data_ptr(),
            all_parameters.const_data_ptr()};
  }
  void save(AutogradContext* ctx, const SetupPtr& setup, const at::Tensor& dy = {}) const {
    ctx->set_materialize_grads(false);
    ctx->saved_data[kSetup] = c10::IValue::make_capsule(setup);
    ctx->save_for_backward({rows, columns, parameters, head_biases.value_or(at::Tensor()),
                            x.value_or(at::Tensor()), dy});
  }
};

Point point_of(const variable_list& saved) {
  return {saved[0], saved[1], saved[2], optional_of(saved[3]), optional_of(saved[4])};
}

SetupPtr setup_of(AutogradContext* ctx) {
  return c10::static_intrusive_pointer_cast<Setup>(ctx->saved_data[kSetup].toCapsule());
}

at::Tensor empty_pixels(const LineDecoderCall& call, int64_t channels, const at::Tensor& like) {
  return at::empty({call.samples, channels, call.pixels()}, like.options());
}

/// The body of the tensors' device, and what it needs beside the call and pointers.
class Body {
 public:
  explicit Body(const at::Tensor& tensor)
      : cuda_(tensor.is_cuda()),
        bytes_(tensor.options().dtype(at::kByte)),
        device_(tensor.device()),
        stream_(cuda_ ? current_cuda_stream(tensor) : nullptr) {}

  void forward(const LineDecoderCall& call, const LineDecoderInputs& in, at::Tensor& y) {
    RECORD_FUNCTION("galette::line_decoder", {});
    void* const to = y.mutable_data_ptr();
    if (cuda_) return line_decoder_forward_cuda(call, in, to, allocator(), stream_);
    line_decoder_forward_cpu(call, in, to);
  }
  /// `parameters` may be undefined, here and below.
  void gradient(const LineDecoderCall& call, const LineDecoderInputs& in, const at::Tensor& dy,
                at::Tensor& ds, at::Tensor& parameters) {
    RECORD_FUNCTION("galette::line_decoder_gradient", {});
    const void* const from = dy.const_data_ptr();
    void *const to = ds.mutable_data_ptr(), *const sums = pointer(parameters);
    if (cuda_) return line_decoder_gradient_cuda(call, in, from, to, sums, allocator(), stream_);
    line_decoder_gradient_cpu(call, in, from, to, sums);
  }
  void curvature(const LineDecoderCall& call, const LineDecoderInputs& in, const at::Tensor& dy,
                 const at::Tensor& e, at::Tensor& e_dy, at::Tensor& parameters) {
    RECORD_FUNCTION("galette::line_decoder_curvature", {});
    const void *const from = dy.const_data_ptr(), *const along = e.const_data_ptr();
    void *const to = e_dy.mutable_data_ptr(), *const sums = pointer(parameters);
    if (cuda_)
      return line_decoder_curvature_cuda(call, in, from, along, to, sums, allocator(), stream_);
    line_decoder_curvature_cpu(call, in, from, along, to, sums);
  }

 private:
  static void* pointer(at::Tensor& tensor) {
    return tensor.defined() ? tensor.mutable_data_ptr() : nullptr;
  }
  /// LibTorch gives memory that is freed to later work of the same stream only.
  DeviceAllocator allocator() {
    return [this](size_t bytes) {
      scratch_.push_back(at::empty({static_cast<int64_t>(bytes)}, bytes_));
      return scratch_.back().mutable_data_ptr();
    };
  }

  bool cuda_;
  at::TensorOptions bytes_;
  c10::DeviceGuard device_;
  void* stream_;
  std::vector<at::Tensor> scratch_;
};

/// Gradients of the parameters as the operators return them: all in one, or those of the heads'
/// biases apart.
void append_split(const LineDecoderCall& call, const at::Tensor& all, variable_list& to) {
  if (call.heads == 0) return to.push_back(all);
  const int64_t rest = call.parameters() - call.head_biases();
  to.push_back(all.narrow(1, 0, rest).clone());
  to.push_back(all.narrow(1, rest, call.head_biases()).clone());
}

/// The gradient as a composition that differentiates itself, with respect to the inputs of
/// LineDecoder. For gradients of parameters that are differentiated in turn, as those of modulated
/// weights in path-length regularisation: the second derivative needs all values anyway.
variable_list plain_gradient(const LineDecoderCall& call, const Point& at, const at::Tensor& dy) {
  const at::Tensor none;
  variable_list inputs{at.rows, at.columns, at.parameters, at.head_biases.value_or(none),
                       at.x.value_or(none)};
  // New nodes of the graph, of which none leads to another.
  for (at::Tensor& input : inputs)
    if (input.defined()) input = input.view_as(input);
  const at::Tensor s = plain_line_sum(optional_of(inputs[4]), inputs[0], inputs[1])
                           .view({call.samples, call.channels(0), call.pixels()});
  const at::Tensor y = plain_layers(call, s, inputs[2], inputs[3]);
  const auto counts = [](const at::Tensor& t) { return t.defined() && t.requires_grad(); };
  variable_list differentiable, result(inputs.size());
  std::copy_if(inputs.begin(), inputs.end(), std::back_inserter(differentiable), counts);
  const variable_list gradients =
      torch::autograd::grad({y}, differentiable, {dy}, true, true, true);
  for (size_t i = 0, next = 0; i < inputs.size(); ++i)
    if (counts(inputs[i])) result[i] = gradients[next++];
  return result;
}

/// Cotangents of ds alone: {e_dy} or, when asked for, {e_dy, that of the parameters}.
class LineDecoderCurvature : public torch::autograd::Function<LineDecoderCurvature> {
 public:
  static variable_list forward(AutogradContext*, const at::Tensor& dy, const at::Tensor& e,
                               const at::Tensor& rows, const at::Tensor& columns,
                               const at::Tensor& parameters, const OptionalTensor& head_biases,
                               const OptionalTensor& x, const SetupPtr& setup,
                               bool wants_parameters) {
    const LineDecoderCall& call = setup->call;
    const Point point{rows, columns, parameters, head_biases, x};
    const at::Tensor cotangent = e.contiguous();
    at::Tensor all, to_all;
    const LineDecoderInputs inputs = point.inputs(all);
    if (wants_parameters) to_all = at::empty_like(all);
    at::Tensor to_dy = empty_pixels(call, call.channels_out(), dy);
    Body(dy).curvature(call, inputs, dy, cotangent, to_dy, to_all);
    variable_list result{to_dy};
    if (wants_parameters) append_split(call, to_all, result);
    return result;
  }
  static variable_list backward(AutogradContext*, const variable_list&) {
    TORCH_CHECK(false, kNoThirdDerivative);
  }
};

/// {ds} or, when asked for, {ds, gradient of the parameters, of the heads' biases if there are
/// any}.
class LineDecoderGradient : public torch::autograd::Function<LineDecoderGradient> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& given_dy,
                               const at::Tensor& rows, const at::Tensor& columns,
                               const at::Tensor& parameters, const OptionalTensor& head_biases,
                               const OptionalTensor& x, const SetupPtr& setup,
                               bool wants_parameters) {
    const LineDecoderCall& call = setup->call;
    const at::Tensor dy = given_dy.contiguous();
    const Point point{rows, columns, parameters, head_biases, x};
    point.save(ctx, setup, dy);
    at::Tensor all, to_all;
    const LineDecoderInputs inputs = point.inputs(all);
    if (wants_parameters) to_all = at::empty_like(all);
    at::Tensor ds = empty_pixels(call, call.channels(0), dy);
    Body(dy).gradient(call, inputs, dy, ds, to_all);
    variable_list result{ds};
    if (wants_parameters) append_split(call, to_all, result);
    return result;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const SetupPtr setup = setup_of(ctx);
    const variable_list saved = ctx->get_saved_variables();
    const Point at = point_of(saved);
    const at::Tensor& dy = saved.back();
    variable_list result(kArguments);
    if (!grads[0].defined()) return result;
    const bool wants_parameters = ctx->needs_input_grad(3);
    const variable_list fused =
        LineDecoderCurvature::apply(dy, grads[0], at.rows, at.columns, at.parameters,
                                    at.head_biases, at.x, setup, wants_parameters);
    result[0] = fused[0];
    if (wants_parameters) result[3] = fused[1];
    return result;
  }

 private:
  static constexpr size_t kArguments = 8;
};

class LineDecoder : public torch::autograd::Function<LineDecoder> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& rows, const at::Tensor& columns,
                            const at::Tensor& parameters, const OptionalTensor& head_biases,
                            const OptionalTensor& x, const SetupPtr& setup) {
    const LineDecoderCall& call = setup->call;
    const Point point{rows, columns, parameters, head_biases, x};
    point.save(ctx, setup);
    at::Tensor all, y = empty_pixels(call, call.channels_out(), rows);
    const LineDecoderInputs inputs = point.inputs(all);
    Body(rows).forward(call, inputs, y);
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    variable_list result(kArguments);
    if (!grads[0].defined()) return result;
    const SetupPtr setup = setup_of(ctx);
    const Point at = point_of(ctx->get_saved_variables());
    const bool wants_parameters = ctx->needs_input_grad(2);
    if (wants_parameters && at::GradMode::is_enabled()) {
      result = plain_gradient(setup->call, at, grads[0]);
      result.resize(kArguments);
      return result;
    }
    const variable_list gradient =
        LineDecoderGradient::apply(grads[0], at.rows, at.columns, at.parameters, at.head_biases,
                                   at.x, setup, wants_parameters);
    const at::Tensor& ds = gradient[0];
    const at::Tensor planes = ds.view({at.rows.size(0), setup->call.height, setup->call.width});
    if (ctx->needs_input_grad(0)) result[0] = at::bmm(planes, at.columns.transpose(1, 2)) * 0.5;
    if (ctx->needs_input_grad(1)) result[1] = at::bmm(at.rows.transpose(1, 2), planes) * 0.5;
    if (wants_parameters) result[2] = gradient[1];
    if (wants_parameters && at.head_biases) result[3] = gradient[2];
    if (at.x) result[4] = ds;
    return result;
  }

 private:
  static constexpr size_t kArguments = 6;
};

/// Weights and biases of the chain, weights of the heads: [1 or N, P].
at::Tensor packed(const LineDecoderCall& call, const std::vector<DecoderLayer>& layers,
                  const std::vector<DecoderHead>& heads) {
  const int64_t sets = call.parameter_sets;
  variable_list parts;
  const auto add_weight = [&](const at::Tensor& w) {
    parts.push_back((w.dim() == 3 ? w : w.unsqueeze(0).expand({sets, -1, -1})).reshape({sets, -1}));
  };
  for (const DecoderLayer& layer : layers) {
    add_weight(layer.weight);
    parts.push_back(layer.bias.unsqueeze(0).expand({sets, -1}));
  }
  for (const DecoderHead& head : heads) add_weight(head.layer.weight);
  return at::cat(parts, 1);
}

OptionalTensor packed_biases(const LineDecoderCall& call, const std::vector<DecoderHead>& heads) {
  if (heads.empty()) return std::nullopt;
  variable_list parts;
  for (const DecoderHead& head : heads)
    parts.push_back(head.layer.bias.unsqueeze(0).expand({call.parameter_sets, -1}));
  return at::cat(parts, 1);
}

bool has_fused_body(const LineDecoderCall& call, const at::Tensor& rows) {
  if (kernel_path() != KernelPath::fused) return false;
  const at::ScalarType type = rows.scalar_type();
  if (rows.is_cpu()) return type == at::kFloat || type == at::kDouble;
  if (!rows.is_cuda()) return false;
  if (type != at::kFloat && type != at::kHalf && type != at::kBFloat16) return false;
  const c10::DeviceGuard device(rows.device());
  return line_decoder_cuda_supports(call);
}

}  // namespace

at::Tensor line_decoder(const OptionalTensor& given_x, const at::Tensor& rows,
                        const at::Tensor& columns, const std::vector<DecoderLayer>& layers,
                        const std::vector<DecoderHead>& heads) {
  const OptionalTensor x =
      given_x && given_x->defined() ? OptionalTensor(given_x->contiguous()) : std::nullopt;
  const auto setup = c10::make_intrusive<Setup>();
  setup->call = line_decoder_call(x, rows, columns, layers, heads);
  const LineDecoderCall& call = setup->call;
  if (has_fused_body(call, rows)) {
    return LineDecoder::apply(rows.contiguous(), columns.contiguous(), packed(call, layers, heads),
                              packed_biases(call, heads), x, setup);
  }
  const at::Tensor s = plain_line_sum(x, rows, columns);
  return plain_layers(s.view({call.samples, call.channels(0), call.pixels()}), layers, heads);
}

}  // namespace galette
