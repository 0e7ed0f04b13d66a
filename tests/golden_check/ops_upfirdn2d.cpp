// SPDX-License-Identifier: Apache-2.0
// Cases of ops_upfirdn2d: upfirdn2d, filter2d, upsample2d, downsample2d and conv2d_resample with
// their value, first derivatives, and the derivatives of S = sum of <gradient, in/dd_*>; and
// setup_filter.
#include <torch/csrc/autograd/autograd.h>

#include "golden.h"
#include "kernels/conv2d_resample.h"
#include "kernels/fir_filter.h"

namespace galette::golden {
namespace {

using nlohmann::json;
using torch::autograd::variable_list;

AxisPair axis_pair(const json& value) {
  if (value.is_array()) return value.get<AxisPair>();
  return {value.get<int64_t>(), value.get<int64_t>()};
}

/// One number for all sides, two for x and y, or four.
Padding2d padding(const json& value) {
  if (value.is_array() && value.size() == 4) return value.get<Padding2d>();
  const AxisPair p = axis_pair(value);
  return {p[0], p[0], p[1], p[1]};
}

at::Tensor apply(const Case& c, const json& config, const at::Tensor& x, const at::Tensor& w) {
  const std::string op = config.at("op").get<std::string>();
  const at::Tensor f = c.has("in/f") ? c.raw("in/f") : at::Tensor();
  const Padding2d pad = padding(config.at("padding"));
  const bool flip = config.at("flip_filter").get<bool>();
  const double gain = config.value("gain", 1.0);
  if (op == "filter2d") return filter2d(x, f, pad, flip, gain);
  if (op == "upsample2d") return upsample2d(x, f, axis_pair(config.at("up")), pad, flip, gain);
  if (op == "downsample2d")
    return downsample2d(x, f, axis_pair(config.at("down")), pad, flip, gain);
  if (op == "upfirdn2d") {
    return upfirdn2d(x, f,
                     {.up = axis_pair(config.at("up")),
                      .down = axis_pair(config.at("down")),
                      .padding = pad,
                      .flip_filter = flip,
                      .gain = gain});
  }
  return conv2d_resample(x, w, f,
                         {.up = config.at("up").get<int64_t>(),
                          .down = config.at("down").get<int64_t>(),
                          .padding = pad,
                          .groups = config.at("groups").get<int64_t>(),
                          .flip_weight = config.at("flip_weight").get<bool>(),
                          .flip_filter = flip});
}

bool run_operator(const Case& c, const json& config) {
  const bool has_weight = c.has("in/w");
  const std::vector<std::string> names =
      has_weight ? std::vector<std::string>{"x", "w"} : std::vector<std::string>{"x"};
  variable_list inputs;
  for (const std::string& name : names) inputs.push_back(c.get("in/" + name).requires_grad_());
  const at::Tensor dy = c.get("in/dy").requires_grad_();
  const at::Tensor y = apply(c, config, inputs[0], has_weight ? inputs[1] : at::Tensor());
  c.compare("out/y", y);

  const variable_list first = torch::autograd::grad({y}, inputs, {dy}, true, true);
  at::Tensor s = at::zeros({}, c.options());
  for (size_t i = 0; i < names.size(); ++i) {
    c.compare("grad/" + names[i], first[i]);
    s = s + (first[i] * c.get("in/dd_" + names[i])).sum();
  }

  variable_list with_dy = inputs;
  with_dy.push_back(dy);
  const variable_list second = torch::autograd::grad({s}, with_dy, {}, true, false, true);
  for (size_t i = 0; i < names.size(); ++i) {
    const at::Tensor value = second[i].defined() ? second[i] : at::zeros_like(inputs[i]);
    c.compare("grad2/" + names[i], value);
  }
  c.compare("grad2/dy", second.back());
  return true;
}

/// A number, a list or a list of lists as taps; null is the identity.
at::Tensor taps(const json& value) {
  if (value.is_null()) return {};
  if (value.is_number()) return at::scalar_tensor(value.get<double>(), at::kDouble);
  std::vector<at::Tensor> rows;
  for (const json& row : value) rows.push_back(taps(row));
  return at::stack(rows);
}

bool run_setup_filter(const Case& c, const json& config) {
  SetupFilterOptions options{.normalize = config.value("normalize", true),
                             .flip_filter = config.value("flip_filter", false),
                             .gain = config.value("gain", 1.0),
                             .dtype = c.type()};
  if (config.contains("separable") && !config.at("separable").is_null())
    options.separable = config.at("separable").get<bool>();
  c.compare("out/f", setup_filter(taps(config.at("f")), options));
  return true;
}

bool run_case(const Case& c) {
  const json config = c.config();
  const std::string group = c.name().substr(0, c.name().find('/'));
  if (group == "setup_filter") return run_setup_filter(c, config);
  for (const char* known :
       {"upfirdn2d", "filter2d", "upsample2d", "downsample2d", "conv2d_resample"})
    if (group == known && config.at("op") == group) return run_operator(c, config);
  return false;
}

}  // namespace

Section ops_upfirdn2d_section() {
  return {"ops_upfirdn2d", nested_groups, run_case};
}

}  // namespace galette::golden
