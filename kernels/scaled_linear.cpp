// SPDX-License-Identifier: Apache-2.0
// Autograd of scaled products. The gradients of a product are products of the same kind, so
// derivatives of any order are compositions of them.
#include "kernels/scaled_linear.h"

#include <torch/csrc/autograd/custom_function.h>

namespace galette {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr char kAlpha[] = "alpha", kBeta[] = "beta";

at::Tensor product(const at::Tensor& a, const at::Tensor& b, double alpha);

/// alpha a b for a [M, K] and b [K, N].
class ScaledProduct : public torch::autograd::Function<ScaledProduct> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& a, const at::Tensor& b,
                            double alpha) {
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({a, b});
    ctx->saved_data[kAlpha] = alpha;
    at::Tensor result = at::empty({a.size(0), b.size(1)}, a.options());
    // With a weight of 0, what it held is not read.
    return at::addmm_out(result, result, a, b, 0, alpha);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    variable_list result(3);
    const at::Tensor& g = grads[0];
    if (!g.defined()) return result;
    const variable_list saved = ctx->get_saved_variables();
    const double alpha = ctx->saved_data[kAlpha].toDouble();
    if (ctx->needs_input_grad(0)) result[0] = product(g, saved[1].t(), alpha);
    if (ctx->needs_input_grad(1)) result[1] = product(saved[0].t(), g, alpha);
    return result;
  }
};

at::Tensor product(const at::Tensor& a, const at::Tensor& b, double alpha) {
  return alpha == 1 ? at::mm(a, b) : ScaledProduct::apply(a, b, alpha);
}

class ScaledLinear : public torch::autograd::Function<ScaledLinear> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, double alpha, double beta) {
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({x, weight});
    ctx->saved_data[kAlpha] = alpha;
    ctx->saved_data[kBeta] = beta;
    return at::addmm(bias, x, weight.t(), beta, alpha);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    variable_list result(5);
    const at::Tensor& g = grads[0];
    if (!g.defined()) return result;
    const variable_list saved = ctx->get_saved_variables();
    const double alpha = ctx->saved_data[kAlpha].toDouble(),
                 beta = ctx->saved_data[kBeta].toDouble();
    if (ctx->needs_input_grad(0)) result[0] = product(g, saved[1], alpha);
    if (ctx->needs_input_grad(1)) result[1] = product(g.t(), saved[0], alpha);
    if (ctx->needs_input_grad(2)) result[2] = beta == 1 ? g.sum(0) : g.sum(0) * beta;
    return result;
  }
};

}  // namespace

at::Tensor scaled_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                         double alpha, double beta) {
  if (!bias.defined()) return product(x, weight.t(), alpha);
  return ScaledLinear::apply(x, weight, bias, alpha, beta);
}

}  // namespace galette
