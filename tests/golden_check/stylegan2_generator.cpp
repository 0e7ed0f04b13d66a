// SPDX-License-Identifier: Apache-2.0
// stylegan2_generator: latents, images with each kind of noise, gradients, running average of w.
#include "models/stylegan2.h"
#include "networks.h"

namespace galette::golden {
namespace {

void check_latents(const Case& c, const StyleGan2Generator& g) {
  const at::Tensor w = g.map(c.get("in/z"), c.get("in/c"));
  c.compare("out/ws", g.broadcast(w));
  c.compare("out/ws_psi0.7", g.broadcast(w, {0.7, -1}));
  c.compare("out/ws_psi0.7_cutoff4", g.broadcast(w, {0.7, 4}));
}

/// w_avg moves by 0.002 towards the mean w of a call with the averaging flag on, and stays
/// otherwise. The library leaves the moment to the trainer.
void check_average(const Case& c, const StyleGan2Generator& g) {
  const at::Tensor mean = g.map(c.get("in/z"), c.get("in/c")).mean({0});
  const at::Tensor moved = at::lerp(mean, g.w_avg(), 0.998);
  for (const std::string& name : c.list("out")) {
    if (!name.starts_with("state_after_")) continue;
    const bool moves = name.find("update_emas_True") != std::string::npos;
    c.compare("out/" + name + "/mapping.w_avg", moves ? moved : g.w_avg());
  }
}

SynthesisOptions with_noise(NoiseMode mode) {
  SynthesisOptions options;
  options.noise_mode = mode;
  return options;
}

/// The stored draws, one per noise layer in order.
SynthesisOptions with_draws(const Case& c) {
  const std::vector<std::string> names = c.list("draws");
  SynthesisOptions options = with_noise(NoiseMode::random);
  options.random_noise = [&c, names](int64_t layer, int64_t size) {
    const at::Tensor draw = c.get("draws/" + names.at(static_cast<size_t>(layer)));
    TORCH_CHECK(draw.size(2) == size, "draw ", layer, " is not for size ", size);
    return draw;
  };
  return options;
}

void check_noise(const Case& c, const StyleGan2Generator& g) {
  const at::Tensor ws = c.get("out/ws");
  c.compare("out/img_none", g.synthesize(ws, with_noise(NoiseMode::none)));
  c.compare("out/img_random", g.synthesize(ws, with_draws(c)));
  c.compare("out/img_ws_random_none",
            g.synthesize(c.get("in/ws_random"), with_noise(NoiseMode::none)));
}

void check_gradients(const Case& c, StyleGan2Generator& g) {
  const auto synthesize = [&](const at::Tensor& ws) {
    return g.synthesize(ws, with_noise(NoiseMode::constant));
  };
  const at::Tensor image = synthesize(g.broadcast(g.map(c.get("in/z"), c.get("in/c"))));
  c.compare("out/img_const", image);
  c.compare("out/img_const_trainmode", image);
  compare_generator_gradients(c, g, synthesize);
}

bool run(const Case& c) {
  const nlohmann::json config = c.config();
  StyleGan2Generator g(StyleGan2Config::from_json(config["G_kwargs"]), c.options());
  load_state(c, "state", g);
  c.expect(g.num_ws() == config["num_ws"].get<int64_t>(), "num_ws");
  check_latents(c, g);
  check_average(c, g);
  check_noise(c, g);
  check_gradients(c, g);
  return true;
}

}  // namespace

Section stylegan2_generator_section() {
  return {"stylegan2_generator", root_groups, run};
}

}  // namespace galette::golden
