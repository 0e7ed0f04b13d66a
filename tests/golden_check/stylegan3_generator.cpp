// SPDX-License-Identifier: Apache-2.0
// stylegan3t_generator, stylegan3r_generator: the plan of the layers, filters, images with and
// without a transform, truncation, magnitude averages, and gradients.
#include <fmt/format.h>

#include "models/stylegan3.h"
#include "networks.h"

namespace galette::golden {
namespace {

using nlohmann::json;

// In truncated latents.
constexpr double kPsi = 0.7;
constexpr int64_t kCutoff = 4;

bool close(double a, const json& b) {
  return std::abs(a - b.get<double>()) <= 1e-12 * std::abs(b.get<double>());
}

bool same_signal(const SignalPlan& s, const json& layer, const std::string& side) {
  const auto at = [&](const char* name) { return layer.at(side + "_" + name); };
  return close(s.cutoff, at("cutoff")) && close(s.half_width, at("half_width")) &&
         s.rate == at("sampling_rate") && s.channels == at("channels") &&
         json{s.size, s.size} == at("size");
}

bool same_layer(const StyleGan3LayerPlan& p, const json& layer) {
  const auto [p0, p1] = p.padding;
  return p.name == layer.at("name").get<std::string>() && same_signal(p.in, layer, "in") &&
         same_signal(p.out, layer, "out") && p.up == layer.at("up_factor") &&
         p.down == layer.at("down_factor") && p.up_taps == layer.at("up_taps") &&
         p.down_taps == layer.at("down_taps") && p.radial == layer.at("down_radial") &&
         p.critical == layer.at("is_critically_sampled") &&
         json{p0, p1, p0, p1} == layer.at("padding");
}

void check_plan(const Case& c, const StyleGan3Config& config, const json& stored) {
  const std::vector<StyleGan3LayerPlan> plans = config.layers();
  const json& layers = stored.at("layers");
  c.expect(plans.size() == layers.size(), "number of layers");
  const json& input = stored.at("input");
  const SignalPlan& first = plans[0].in;
  c.expect(close(first.cutoff, input.at("bandwidth")) && first.channels == input.at("channels") &&
               first.rate == input.at("sampling_rate") &&
               json{first.size, first.size} == input.at("size"),
           "plan of the input");
  for (size_t i = 0; i < std::min(plans.size(), layers.size()); ++i)
    c.expect(same_layer(plans[i], layers[i]), "plan of " + plans[i].name);
}

/// The stored filters are float32.
void check_filters(const Case& c, const StyleGan3Config& config) {
  for (const StyleGan3LayerPlan& plan : config.layers()) {
    const std::string layer = "state/synthesis." + plan.name;
    if (plan.up_taps > 1) c.compare(layer + ".up_filter", plan.up_filter(), 1e-6);
    if (plan.down_taps > 1) c.compare(layer + ".down_filter", plan.down_filter(), 1e-6);
  }
}

void check_images(const Case& c, const StyleGan3Generator& g, const at::Tensor& ws) {
  c.compare("out/img_ws_random", g.synthesize(c.get("in/ws_random")));
  c.compare("out/input_features", g.input_features(ws.select(1, 0)).narrow(0, 0, 1));
  const at::Tensor before = g.transform().clone();
  for (int i : {0, 1}) {
    const std::string path = fmt::format("in/transform{}", i);
    const std::string object = c.name() + "/" + path;
    const double angle = c.file().double_attribute(object, "rotate_deg");
    g.transform().copy_(c.get(path));
    c.compare(fmt::format("out/img_transform{}", i), g.synthesize(ws));
    // The file holds the matrix in float32.
    const at::Tensor moved =
        StyleGan3Generator::inverse_transform(angle, i == 0 ? 0.13 : -0.4, i == 0 ? -0.21 : 0.05);
    c.compare(path, moved, 1e-6);
  }
  g.transform().copy_(before);
}

/// One full call of the reference with its flag update_emas; the library leaves the averages to the
/// trainer, and a pass says what to update them with.
void check_averages(const Case& c, const StyleGan3Generator& g) {
  const double beta = g.config().magnitude_ema_beta;
  const at::Tensor w = g.map(c.get("in/z"), c.get("in/c"));
  const auto layers = static_cast<int64_t>(g.magnitude_averages().size());
  InputMagnitudes magnitudes{at::zeros({layers, 2}, c.options().dtype(at::kDouble)), beta};
  SynthesisOptions options;
  options.magnitudes = &magnitudes;
  g.synthesize(g.broadcast(w), options);
  const std::vector<StyleGan3LayerPlan> plans = g.config().layers();
  for (const char* call : {"eval_update_emas_True", "train_update_emas_True",
                           "eval_update_emas_False", "train_update_emas_False"}) {
    const bool updates = std::string(call).find("True") != std::string::npos;
    const std::string state = fmt::format("out/state_after_{}/", call);
    const at::Tensor average = updates ? at::lerp(w.mean({0}), g.w_avg(), 0.998) : g.w_avg();
    c.compare(state + "mapping.w_avg", average);
    for (int64_t i = 0; i < layers; ++i) {
      const at::Tensor mean = magnitudes.sums[i][0] / magnitudes.sums[i][1];
      const at::Tensor old = g.magnitude_averages()[i].to(at::kDouble);
      c.compare(fmt::format("{}synthesis.{}.magnitude_ema", state, plans[i].name),
                updates ? at::lerp(mean, old, beta) : old);
    }
  }
}

void check_gradients(const Case& c, StyleGan3Generator& g) {
  c.compare("out/img", g.synthesize(g.broadcast(g.map(c.get("in/z"), c.get("in/c")))));
  compare_generator_gradients(c, g, [&](const at::Tensor& ws) { return g.synthesize(ws); });
}

bool run(const Case& c) {
  const json stored = c.config();
  const StyleGan3Config config = StyleGan3Config::from_json(stored.at("G_kwargs"));
  check_plan(c, config, stored);
  check_filters(c, config);
  if (!c.has("in")) return true;
  StyleGan3Generator g(config, c.options());
  load_state(c, "state", g);
  c.expect(g.num_ws() == stored.at("num_ws").get<int64_t>(), "num_ws");
  const at::Tensor w = g.map(c.get("in/z"), c.get("in/c"));
  c.compare("out/ws", g.broadcast(w));
  c.compare("out/ws_psi0.7", g.broadcast(w, {kPsi, -1}));
  c.compare("out/ws_psi0.7_cutoff4", g.broadcast(w, {kPsi, kCutoff}));
  {
    const at::NoGradGuard no_grad;
    check_images(c, g, g.broadcast(w));
    check_averages(c, g);
  }
  check_gradients(c, g);
  return true;
}

}  // namespace

Section stylegan3t_generator_section() {
  return {"stylegan3t_generator", root_groups, run};
}

Section stylegan3r_generator_section() {
  return {"stylegan3r_generator", root_groups, run};
}

}  // namespace galette::golden
