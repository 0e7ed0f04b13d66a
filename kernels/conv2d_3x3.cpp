// SPDX-License-Identifier: Apache-2.0
// Autograd and choice of conv2d_3x3. The gradients of a convolution and of its gradient by the
// weights are again these two, with exchanged arguments, so derivatives of any order are
// compositions of them.
#include "kernels/conv2d_3x3.h"

#include <algorithm>

#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/dispatch.h"

namespace galette {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Below these the transforms cost what the products save: measured on 2 cores with AVX-512.
constexpr int64_t kFewestChannels = 32, kFewestChannelsOfGradient = 96;
constexpr int64_t kFewestTiles = 64;

Conv3x3Call call_for(const at::Tensor& x, int64_t out, int64_t pad_y, int64_t pad_x,
                     bool is_turned = false) {
  return {x.size(0), x.size(1), out, x.size(2), x.size(3), pad_y, pad_x, is_turned};
}

bool pays(const Conv3x3Call& call, int64_t fewest_channels) {
  const int64_t tiles = call.samples * ((call.out_height() + 3) / 4) * ((call.out_width() + 3) / 4);
  return std::min(call.in, call.out) >= fewest_channels && tiles >= kFewestTiles;
}

/// The convolution with filters [O, I, 3, 3], or with turned ones: those by which a gradient
/// travels back through filters [I, O, 3, 3].
at::Tensor convolve(const at::Tensor& x, const at::Tensor& weight, int64_t pad_y, int64_t pad_x,
                    bool is_turned);
at::Tensor weight_gradient(const at::Tensor& x, const at::Tensor& dy, int64_t pad_y, int64_t pad_x);

/// What both operators are bilinear in, kept for their gradients.
struct Factors {
  at::Tensor first, second;
  int64_t pad_y, pad_x;

  void save(AutogradContext* ctx) const {
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({first, second});
    ctx->saved_data["pad_y"] = pad_y;
    ctx->saved_data["pad_x"] = pad_x;
  }
  static Factors saved(AutogradContext* ctx) {
    const variable_list tensors = ctx->get_saved_variables();
    return {tensors[0], tensors[1], ctx->saved_data["pad_y"].toInt(),
            ctx->saved_data["pad_x"].toInt()};
  }
};

class Conv3x3 : public torch::autograd::Function<Conv3x3> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            int64_t pad_y, int64_t pad_x, bool is_turned) {
    Factors{x, weight, pad_y, pad_x}.save(ctx);
    ctx->saved_data["is_turned"] = is_turned;
    const Conv3x3Call call = call_for(x, weight.size(is_turned ? 1 : 0), pad_y, pad_x, is_turned);
    const at::Tensor source = x.contiguous(), filters = weight.contiguous();
    at::Tensor y =
        at::empty({call.samples, call.out, call.out_height(), call.out_width()}, x.options());
    RECORD_FUNCTION("galette::conv2d_3x3", {});
    conv3x3_cpu(call, source.const_data_ptr<float>(), filters.const_data_ptr<float>(),
                y.mutable_data_ptr<float>());
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    variable_list result(5);
    const at::Tensor& dy = grads[0];
    if (!dy.defined()) return result;
    const Factors f = Factors::saved(ctx);
    const bool is_turned = ctx->saved_data["is_turned"].toBool();
    const int64_t back_y = 2 - f.pad_y, back_x = 2 - f.pad_x;
    if (ctx->needs_input_grad(0)) result[0] = convolve(dy, f.second, back_y, back_x, !is_turned);
    if (ctx->needs_input_grad(1)) {
      result[1] = is_turned ? weight_gradient(dy, f.first, back_y, back_x)
                            : weight_gradient(f.first, dy, f.pad_y, f.pad_x);
    }
    return result;
  }
};

class Conv3x3WeightGradient : public torch::autograd::Function<Conv3x3WeightGradient> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& dy,
                            int64_t pad_y, int64_t pad_x) {
    Factors{x, dy, pad_y, pad_x}.save(ctx);
    const Conv3x3Call call = call_for(x, dy.size(1), pad_y, pad_x);
    const at::Tensor source = x.contiguous(), slopes = dy.contiguous();
    at::Tensor dweight = at::empty({call.out, call.in, 3, 3}, x.options());
    RECORD_FUNCTION("galette::conv2d_3x3_weight_gradient", {});
    conv3x3_weight_gradient_cpu(call, source.const_data_ptr<float>(),
                                slopes.const_data_ptr<float>(), dweight.mutable_data_ptr<float>());
    return dweight;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    variable_list result(4);
    if (!grads[0].defined()) return result;
    const Factors f = Factors::saved(ctx);
    if (ctx->needs_input_grad(0))
      result[0] = convolve(f.second, grads[0], 2 - f.pad_y, 2 - f.pad_x, true);
    if (ctx->needs_input_grad(1)) result[1] = convolve(f.first, grads[0], f.pad_y, f.pad_x, false);
    return result;
  }
};

at::Tensor weight_gradient(const at::Tensor& x, const at::Tensor& dy, int64_t pad_y,
                           int64_t pad_x) {
  if (pays(call_for(x, dy.size(1), pad_y, pad_x), kFewestChannelsOfGradient))
    return Conv3x3WeightGradient::apply(x, dy, pad_y, pad_x);
  // Its values do not depend on those of the filters, but it wants to see some.
  const at::Tensor any = at::empty({dy.size(1), x.size(1), 3, 3}, x.options());
  return std::get<1>(at::convolution_backward(dy, x, any, {}, {1, 1}, {pad_y, pad_x}, {1, 1}, false,
                                              {0, 0}, 1, {false, true, false}));
}

at::Tensor convolve(const at::Tensor& x, const at::Tensor& weight, int64_t pad_y, int64_t pad_x,
                    bool is_turned) {
  const bool takes = x.is_cpu() && x.scalar_type() == at::kFloat &&
                     weight.scalar_type() == at::kFloat && pad_y >= 0 && pad_y <= 2 && pad_x >= 0 &&
                     pad_x <= 2;
  if (takes && kernel_path() == KernelPath::fused &&
      pays(call_for(x, weight.size(is_turned ? 1 : 0), pad_y, pad_x), kFewestChannels))
    return Conv3x3::apply(x, weight, pad_y, pad_x, is_turned);
  const at::Tensor filters = is_turned ? weight.transpose(0, 1).flip({2, 3}) : weight;
  return at::conv2d(x, filters, {}, {1, 1}, {pad_y, pad_x});
}

}  // namespace

at::Tensor conv2d_3x3(const at::Tensor& x, const at::Tensor& weight, int64_t pad_y, int64_t pad_x) {
  return convolve(x, weight, pad_y, pad_x, false);
}

}  // namespace galette
