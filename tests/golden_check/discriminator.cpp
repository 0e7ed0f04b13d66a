// SPDX-License-Identifier: Apache-2.0
// discriminator: logits, gradients, the second order of R1, and logits of blurred images.
#include "models/discriminator.h"

#include "networks.h"
#include "training/blur.h"

namespace galette::golden {
namespace {

/// Everything in the order in which minibatch groups are consecutive.
struct Inputs {
  at::Tensor order, image, label, proj;
};

Inputs make_inputs(const Case& c, int64_t group_size) {
  const at::Tensor image = c.get("in/img");
  const at::Tensor order = consecutive_groups(image, group_size);
  return {order, image.index_select(0, order).requires_grad_(true),
          c.get("in/c").index_select(0, order), c.get("in/proj").index_select(0, order)};
}

void check_first_order(const Case& c, const Inputs& in, Discriminator& d) {
  const at::Tensor logits = d.logits(in.image, in.label);
  const at::Tensor back = inverse_order(in.order);
  c.compare("out/logits", logits.index_select(0, back));
  in.image.mutable_grad() = at::Tensor();
  backward((logits * in.proj).sum(), d);
  compare_gradients(c, "grad", d);
  c.compare("grad_img", in.image.grad().index_select(0, back));
}

void check_r1(const Case& c, const Inputs& in, Discriminator& d, double gamma) {
  const at::Tensor back = inverse_order(in.order);
  const at::Tensor logits = d.logits(in.image, in.label);
  const at::Tensor grad = torch::autograd::grad({logits.sum()}, {in.image}, {}, true, true)[0];
  const at::Tensor penalty = grad.square().sum({1, 2, 3});
  c.compare("out/r1_grads", grad.index_select(0, back));
  c.compare("out/r1_penalty", penalty.index_select(0, back));
  backward((penalty * (gamma / 2)).mean(), d);
  compare_gradients(c, "grad_r1", d);
}

/// Blurred images are stored of the first sample only.
void check_blur(const Case& c, const Inputs& in, Discriminator& d) {
  const at::NoGradGuard no_grad;
  const std::string prefix = "logits_blur_sigma";
  const at::Tensor back = inverse_order(in.order);
  for (const std::string& name : c.list("out")) {
    if (!name.starts_with(prefix)) continue;
    const std::string sigma = name.substr(prefix.size());
    const at::Tensor blurred = blur_images(in.image, std::stod(sigma));
    c.compare("out/blurred_sigma" + sigma, blurred.index_select(0, back).narrow(0, 0, 1));
    c.compare("out/" + name, d.logits(blurred, in.label).index_select(0, back));
  }
}

bool run(const Case& c) {
  const nlohmann::json config = c.config();
  const nlohmann::json& args = config["D_kwargs"];
  const DiscriminatorConfig d_config = DiscriminatorConfig::from_json(args);
  StyleGan2Discriminator d(d_config, c.options());
  load_state(c, "state", d);
  const Inputs inputs = make_inputs(c, d_config.mbstd_group_size);
  check_first_order(c, inputs, d);
  check_r1(c, inputs, d, config["r1_gamma"]);
  check_blur(c, inputs, d);
  return true;
}

}  // namespace

Section discriminator_section() {
  return {"discriminator", root_groups, run};
}

}  // namespace galette::golden
