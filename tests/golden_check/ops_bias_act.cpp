// SPDX-License-Identifier: Apache-2.0
// Cases "<activation>/<shape>_<variant>" of ops_bias_act: value, vector-Jacobian products with
// in/dy, and the derivatives of S = <grad dx, in/ddx> + <grad db, in/ddb>.
#include <torch/csrc/autograd/autograd.h>

#include "golden.h"
#include "kernels/bias_act.h"

namespace galette::golden {
namespace {

using torch::autograd::variable_list;

std::optional<double> number(const nlohmann::json& value) {
  return value.is_null() ? std::nullopt : std::optional<double>(value.get<double>());
}

/// The gradients of `of` for `inputs`, zeros where there is none.
variable_list gradients(const at::Tensor& of, const variable_list& inputs,
                        const variable_list& cotangent) {
  variable_list result(inputs.size());
  if (of.requires_grad()) result = torch::autograd::grad({of}, inputs, cotangent, true, true, true);
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!result[i].defined()) result[i] = at::zeros_like(inputs[i]);
  return result;
}

bool run_bias_act(const Case& c) {
  const nlohmann::json config = c.config();
  const Activation act = activation_from_name(config.at("act").get<std::string>());
  BiasActOptions options{.dim = config.at("dim").get<int64_t>(),
                         .alpha = number(config.at("alpha")),
                         .gain = number(config.at("gain")),
                         .clamp = number(config.at("clamp"))};
  const bool has_bias = config.at("bias").get<bool>();

  const at::Tensor x = c.get("in/x").requires_grad_();
  const at::Tensor dy = c.get("in/dy").requires_grad_();
  const at::Tensor b = has_bias ? c.get("in/b").requires_grad_() : at::Tensor();
  const at::Tensor y = bias_act(x, has_bias ? std::optional(b) : std::nullopt, act, options);
  c.compare("out/y", y);

  variable_list inputs{x};
  if (has_bias) inputs.push_back(b);
  const variable_list first = gradients(y, inputs, {dy});
  at::Tensor s = (first[0] * c.get("in/ddx")).sum();
  c.compare("grad/dx", first[0]);
  if (has_bias) {
    c.compare("grad/db", first[1]);
    s = s + (first[1] * c.get("in/ddb")).sum();
  }

  inputs.push_back(dy);
  const variable_list second = gradients(s, inputs, {});
  c.compare("grad2/x", second.front());
  c.compare("grad2/dy", second.back());
  if (has_bias) c.compare("grad2/b", second[1]);
  return true;
}

}  // namespace

Section ops_bias_act_section() {
  return {"ops_bias_act", nested_groups, run_bias_act};
}

}  // namespace galette::golden
