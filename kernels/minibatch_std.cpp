// SPDX-License-Identifier: Apache-2.0
// Checks, autograd and dispatch of the minibatch standard deviation.
#include "kernels/minibatch_std.h"

#include <algorithm>

#include <ATen/DeviceGuard.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/dispatch.h"
#include "kernels/minibatch_std_math.h"

namespace galette {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

MinibatchStdCall call_for(const at::Tensor& x, int64_t group, int64_t channels) {
  const int64_t pixels = x.size(2) * x.size(3);
  return {checked_element_type(x, "minibatch_std", "x"),
          x.size(0) / group,
          group,
          channels,
          x.size(1) / channels * pixels,
          pixels};
}

at::Tensor like_output(const at::Tensor& x, int64_t channels) {
  return at::empty({x.size(0), x.size(1) + channels, x.size(2), x.size(3)}, x.options());
}

/// What the operators of one call share.
struct Groups {
  int64_t size, channels;
  void save(AutogradContext* ctx, const variable_list& tensors) const {
    ctx->set_materialize_grads(false);
    ctx->save_for_backward(tensors);
    ctx->saved_data["size"] = size;
    ctx->saved_data["channels"] = channels;
  }
  static Groups saved(AutogradContext* ctx) {
    return {ctx->saved_data["size"].toInt(), ctx->saved_data["channels"].toInt()};
  }
};

/// {by_dy, by_x}
class Curvature : public torch::autograd::Function<Curvature> {
 public:
  static variable_list forward(AutogradContext*, const at::Tensor& dy, const at::Tensor& x,
                               const at::Tensor& given_q, int64_t size, int64_t channels) {
    const c10::DeviceGuard device(x.device());
    const at::Tensor q = given_q.contiguous(), by_dy = at::empty_like(dy), by_x = at::empty_like(x);
    const MinibatchStdCall call = call_for(x, size, channels);
    RECORD_FUNCTION("galette::minibatch_std_curvature", {});
    if (x.is_cuda()) {
      minibatch_std_curvature_cuda(call, x.const_data_ptr(), dy.const_data_ptr(),
                                   q.const_data_ptr(), by_dy.mutable_data_ptr(),
                                   by_x.mutable_data_ptr(), current_cuda_stream(x));
    } else {
      minibatch_std_curvature_cpu(call, x.const_data_ptr(), dy.const_data_ptr(), q.const_data_ptr(),
                                  by_dy.mutable_data_ptr(), by_x.mutable_data_ptr());
    }
    return {by_dy, by_x};
  }

  static variable_list backward(AutogradContext*, const variable_list&) {
    TORCH_CHECK(false, "minibatch_std: the third derivative is not implemented");
  }
};

class Gradient : public torch::autograd::Function<Gradient> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& given_dy, const at::Tensor& x,
                            int64_t size, int64_t channels) {
    const c10::DeviceGuard device(x.device());
    const at::Tensor dy = given_dy.contiguous(), dx = at::empty_like(x);
    Groups{size, channels}.save(ctx, {dy, x});
    const MinibatchStdCall call = call_for(x, size, channels);
    RECORD_FUNCTION("galette::minibatch_std_gradient", {});
    if (x.is_cuda()) {
      minibatch_std_gradient_cuda(call, x.const_data_ptr(), dy.const_data_ptr(),
                                  dx.mutable_data_ptr(), current_cuda_stream(x));
    } else {
      minibatch_std_gradient_cpu(call, x.const_data_ptr(), dy.const_data_ptr(),
                                 dx.mutable_data_ptr());
    }
    return dx;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[0].defined()) return variable_list(4);
    const variable_list saved = ctx->get_saved_variables();
    const Groups groups = Groups::saved(ctx);
    const variable_list result =
        Curvature::apply(saved[0], saved[1], grads[0], groups.size, groups.channels);
    return {result[0], result[1], {}, {}};
  }
};

class MinibatchStd : public torch::autograd::Function<MinibatchStd> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, int64_t size,
                            int64_t channels) {
    const c10::DeviceGuard device(x.device());
    Groups{size, channels}.save(ctx, {x});
    const at::Tensor y = like_output(x, channels);
    const MinibatchStdCall call = call_for(x, size, channels);
    RECORD_FUNCTION("galette::minibatch_std", {});
    if (x.is_cuda()) {
      minibatch_std_forward_cuda(call, x.const_data_ptr(), y.mutable_data_ptr(),
                                 current_cuda_stream(x));
    } else {
      minibatch_std_forward_cpu(call, x.const_data_ptr(), y.mutable_data_ptr());
    }
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[0].defined()) return variable_list(3);
    const Groups groups = Groups::saved(ctx);
    return {Gradient::apply(grads[0], ctx->get_saved_variables()[0], groups.size, groups.channels),
            {},
            {}};
  }
};

at::Tensor plain(const at::Tensor& x, int64_t group, int64_t channels) {
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  const at::Tensor grouped =
      x.to(at::kDouble).reshape({n / group, group, channels, c / channels, h, w});
  const at::Tensor centred = grouped - grouped.mean({1}, true);
  const at::Tensor deviation = (centred.square().mean({1}) + kMinibatchStdEpsilon).sqrt();
  const at::Tensor statistic = deviation.mean({2, 3, 4});  // [n / group, channels]
  const at::Tensor extra = statistic.view({n / group, 1, channels, 1, 1})
                               .expand({n / group, group, channels, h, w})
                               .reshape({n, channels, h, w});
  return at::cat({x, extra.to(x.scalar_type())}, 1);
}

}  // namespace

at::Tensor append_minibatch_std(const at::Tensor& x, int64_t group_size, int64_t channels) {
  TORCH_CHECK(x.dim() == 4, "minibatch_std: x has shape ", x.sizes(), "; give [N, C, H, W]");
  TORCH_CHECK(group_size >= 1 && channels >= 1, "minibatch_std: groups of ", group_size, " and ",
              channels, " channels; give 1 or more");
  const int64_t group = std::max<int64_t>(1, std::min(group_size, x.size(0)));
  TORCH_CHECK(x.size(0) % group == 0, "minibatch_std: a batch of ", x.size(0),
              " is no multiple of the group ", group);
  TORCH_CHECK(x.size(1) % channels == 0, "minibatch_std: ", x.size(1),
              " channels are no multiple of ", channels);
  const bool takes = x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble;
  if (!takes || x.numel() == 0 || kernel_path() == KernelPath::plain)
    return plain(x, group, channels);
  return MinibatchStd::apply(x.contiguous(), group, channels);
}

}  // namespace galette
