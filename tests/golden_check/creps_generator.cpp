// SPDX-License-Identifier: Apache-2.0
// creps_generator: images of all sizes, truncation, running average of w, and gradients.
#include <fmt/format.h>

#include "models/creps.h"
#include "networks.h"

namespace galette::golden {
namespace {

void check_latents(const Case& c, const CrepsGenerator& g, const nlohmann::json& config) {
  const at::Tensor w = g.map(c.get("in/z"), c.get("in/c"));
  const double psi = config["truncation_psi"];
  c.compare("out/ws", g.broadcast(w));
  c.compare("out/ws_psi0.7", g.broadcast(w, {psi, -1}));
  c.compare("out/ws_psi0.7_cutoff4", g.broadcast(w, {psi, config["truncation_cutoff"]}));
  c.compare("out/img_psi0.7", g.synthesize(g.broadcast(w, {psi, -1})));
}

/// w_avg moves by 0.002 towards the mean w of a call in training mode with the averaging flag off;
/// in every other case it stays. The library leaves the moment to the trainer.
void check_average(const Case& c, const CrepsGenerator& g) {
  const at::Tensor mean = g.map(c.get("in/z"), c.get("in/c")).mean({0});
  c.compare("out/w_avg_train_update_emas_false", at::lerp(mean, g.w_avg(), 0.998));
  for (const char* name : {"out/w_avg_train_update_emas_true", "out/w_avg_eval_update_emas_true"}) {
    if (c.has(name)) c.compare(name, g.w_avg());
  }
}

void check_gradients(const Case& c, CrepsGenerator& g) {
  const at::Tensor image = g.synthesize(g.broadcast(g.map(c.get("in/z"), c.get("in/c"))));
  c.compare("out/img", image);
  c.compare("out/loss", (image * c.get("in/proj")).sum());
  compare_generator_gradients(c, g, [&](const at::Tensor& ws) { return g.synthesize(ws); });
}

void check_random_latents(const Case& c, CrepsGenerator& g) {
  const at::Tensor ws = c.get("in/ws_random").requires_grad_(true);
  const at::Tensor image = g.synthesize(ws);
  c.compare("out/img_ws_random", image);
  const at::Tensor loss = (image * c.get("in/proj_ws_random")).sum();
  c.compare("grad_ws_random", torch::autograd::grad({loss}, {ws})[0]);
}

void check_scales(const Case& c, const CrepsGenerator& g, const nlohmann::json& config) {
  const at::Tensor ws = g.broadcast(g.map(c.get("in/z"), c.get("in/c"))).narrow(0, 0, 1);
  for (const double scale : config["scales"]) {
    const std::string text = nlohmann::json(scale).dump();
    const auto n = static_cast<int64_t>(static_cast<double>(g.img_resolution()) * scale);
    const at::Tensor grid = CrepsGenerator::grid(n, c.options());
    c.compare("out/coords_scale" + text, grid.view({1, n, 1, 1}).expand({1, n, 2, 1}));
    c.compare("out/img_scale" + text, g.synthesize_at(ws, grid, grid));
  }
}

/// The refinement blocks in float16, as published, whose own rounding is up to 1.3e-2 of the
/// image's standard deviation; two such roundings are compared.
void check_float16(const Case& c, CrepsGenerator& g) {
  if (c.type() != at::kFloat || !c.has("out/img_fp16")) return;
  const at::NoGradGuard no_grad;
  g.set_low_precision(at::kHalf);
  c.compare("out/img_fp16", g.synthesize(c.get("out/ws")), 0.02);
  c.compare("out/img_ws_random_fp16", g.synthesize(c.get("in/ws_random")), 0.02);
}

bool run(const Case& c) {
  const nlohmann::json config = c.config();
  const nlohmann::json& args = config["G_kwargs"];
  if (args.value("architecture", "skip") != "skip") return false;
  CrepsGenerator g(CrepsConfig::from_json(args), c.options());
  load_state(c, "state", g);
  c.expect(g.num_ws() == config["num_ws"].get<int64_t>(), "num_ws");
  check_latents(c, g, config);
  check_average(c, g);
  check_gradients(c, g);
  check_random_latents(c, g);
  check_scales(c, g, config);
  check_float16(c, g);
  return true;
}

}  // namespace

Section creps_generator_section() {
  return {"creps_generator", root_groups, run};
}

}  // namespace galette::golden
