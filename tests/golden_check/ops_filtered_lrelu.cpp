// SPDX-License-Identifier: Apache-2.0
// Cases of ops_filtered_lrelu: value, vector-Jacobian products with in/dy, and the derivative of
// S = <grad x, in/dd_x> + <grad b, in/dd_b> for dy.
#include <torch/csrc/autograd/autograd.h>

#include "golden.h"
#include "kernels/filtered_lrelu.h"

namespace galette::golden {
namespace {

using nlohmann::json;
using torch::autograd::variable_list;

/// One number for all sides, or four.
Padding2d padding(const json& value) {
  if (value.is_array()) return value.get<Padding2d>();
  const auto p = value.get<int64_t>();
  return {p, p, p, p};
}

bool run_filtered_lrelu(const Case& c) {
  const json config = c.config();
  FilteredLreluOptions options{.up = config.at("up").get<int64_t>(),
                               .down = config.at("down").get<int64_t>(),
                               .padding = padding(config.at("padding")),
                               .gain = config.at("gain").get<double>(),
                               .slope = config.at("slope").get<double>(),
                               .flip_filter = config.at("flip_filter").get<bool>()};
  if (!config.at("clamp").is_null()) options.clamp = config.at("clamp").get<double>();
  const auto filter = [&](const char* name) { return c.has(name) ? c.raw(name) : at::Tensor(); };

  variable_list inputs{c.get("in/x").requires_grad_()};
  std::optional<at::Tensor> bias;
  if (c.has("in/b")) inputs.push_back(*(bias = c.get("in/b").requires_grad_()));
  const at::Tensor dy = c.get("in/dy").requires_grad_();
  const at::Tensor y = filtered_lrelu(inputs[0], bias, filter("in/fu"), filter("in/fd"), options);
  c.compare("out/y", y);

  const variable_list first = torch::autograd::grad({y}, inputs, {dy}, true, true);
  at::Tensor s = (first[0] * c.get("in/dd_x")).sum();
  c.compare("grad/x", first[0]);
  if (bias) {
    c.compare("grad/b", first[1]);
    s = s + (first[1] * c.get("in/dd_b")).sum();
  }
  c.compare("grad2/dy", torch::autograd::grad({s}, {dy})[0]);
  return true;
}

}  // namespace

Section ops_filtered_lrelu_section() {
  return {"ops_filtered_lrelu", root_groups, run_filtered_lrelu};
}

}  // namespace galette::golden
