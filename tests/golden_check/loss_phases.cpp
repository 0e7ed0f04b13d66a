// SPDX-License-Identifier: Apache-2.0
// loss_phases: each phase's statistics, gradients, path-length mean and running average of w.
// Galette's pieces are called in the reference's order, with samples permuted so that groups of
// minibatch standard deviation are consecutive.
#include <fmt/format.h>

#include "models/creps.h"
#include "models/discriminator.h"
#include "networks.h"
#include "training/losses.h"

namespace galette::golden {
namespace {

/// The networks and inputs of a case; one per phase, since phases start from the same state.
struct Setup {
  const Case& c;
  nlohmann::json config;
  std::string phase;
  double gain;
  CrepsGenerator g;
  ResidualDiscriminator d;
  at::Tensor order, back, z, gen_c, real, real_c;  // in our order

  Setup(const Case& a_case, const std::string& phase_name)
      : c(a_case),
        config(c.config()),
        phase(phase_name),
        gain(phase_gain()),
        g(CrepsConfig::from_json(config["G_kwargs"]), c.options()),
        d(DiscriminatorConfig::from_json(config["D_kwargs"]), c.options()) {
    load_state(c, "G/state", g);
    load_state(c, "D/state", d);
    g.arena().set_requires_grad(phase[0] == 'G');
    d.arena().set_requires_grad(phase[0] == 'D');
    const auto group = DiscriminatorConfig::from_json(config["D_kwargs"]).mbstd_group_size;
    order = consecutive_groups(c.get("in/gen_z").size(0), group);
    back = inverse_order(order);
    z = in("gen_z");
    gen_c = in("gen_c");
    real = in("real_img");
    real_c = in("real_c");
  }

  at::Tensor in(const std::string& name) const {
    return c.get("in/" + name).index_select(0, order);
  }
  double phase_gain() const {
    return nlohmann::json::parse(
        c.file().string_attribute(c.name() + "/" + phase, "config"))["gain"];
  }
  void compare(const std::string& name, const at::Tensor& value) const {
    c.compare(phase + "/out/" + name, value);
  }
  void compare_samples(const std::string& name, const at::Tensor& value) const {
    compare(name, value.index_select(0, back));
  }
  void compare_scores(const std::string& kind, const at::Tensor& logits) const {
    compare_samples("Loss.scores." + kind, logits);
    compare_samples("Loss.signs." + kind, logits.sign());
  }
};

void g_main(const Setup& s) {
  const AdversarialLoss loss = generator_loss(s.g, s.d, s.z, s.gen_c);
  s.compare_scores("fake", loss.logits);
  s.compare_samples("Loss.G.loss", loss.loss);
  torch::autograd::backward({loss.loss.mean() * s.gain}, {});
}

/// Path length on the first half of the reference's samples.
void g_reg(const Setup& s) {
  const at::Tensor z = s.c.get("in/gen_z");
  const int64_t half = z.size(0) / s.config["pl_batch_shrink"].get<int64_t>();
  const std::vector<std::string> draws = s.c.list(s.phase + "/draws");
  const at::Tensor lengths =
      path_lengths(s.g, z.narrow(0, 0, half), s.c.get("in/gen_c").narrow(0, 0, half),
                   s.c.get(s.phase + "/draws/" + draws.back()), true);
  PathLengthMean mean(s.c.get("in/pl_mean").item<double>());
  mean.update(lengths.detach().to(at::kDouble).sum().item<double>(), static_cast<double>(half));
  const double weight = s.config["loss_kwargs"]["pl_weight"];
  s.compare("Loss.pl_penalty", mean.penalty(lengths));
  s.compare("Loss.G.reg", mean.penalty(lengths) * weight);
  s.compare("pl_mean_after", at::scalar_tensor(mean.value(), at::kDouble));
  const at::Tensor loss = (mean.gradient_factors(lengths) * lengths).sum();
  torch::autograd::backward({loss * (2 * weight / static_cast<double>(half) * s.gain)}, {});
}

void d_main(const Setup& s) {
  const at::Tensor images = s.g.synthesize(s.g.broadcast(s.g.map(s.z, s.gen_c)));
  const AdversarialLoss fake = discriminator_fake_loss(s.d, images, s.gen_c);
  torch::autograd::backward({fake.loss.mean() * s.gain}, {});
  const AdversarialLoss real = discriminator_real_loss(s.d, s.real, s.real_c);
  torch::autograd::backward({real.loss.mean() * s.gain}, {});
  s.compare_scores("fake", fake.logits);
  s.compare_scores("real", real.logits);
  s.compare_samples("Loss.D.loss", fake.loss + real.loss);
}

void d_reg(const Setup& s) {
  const R1Penalty r1 = r1_penalty(s.d, s.real, s.real_c);
  const double half_gamma = s.config["loss_kwargs"]["r1_gamma"].get<double>() / 2;
  s.compare_scores("real", r1.logits);
  s.compare_samples("Loss.r1_penalty", r1.penalty);
  s.compare_samples("Loss.D.reg", r1.penalty * half_gamma);
  torch::autograd::backward({(r1.penalty * half_gamma).mean() * s.gain}, {});
}

/// The reference moves w_avg at every mapping call of a G phase: over all samples in the main loss,
/// over half of them in the path-length pass.
void check_average(const Setup& s) {
  const std::string name = s.phase + "/out/state_after_G/mapping.w_avg";
  if (!s.c.has(name)) return;
  const at::Tensor w = s.g.map(s.c.get("in/gen_z"), s.c.get("in/gen_c")).detach();
  const int64_t half = w.size(0) / s.config["pl_batch_shrink"].get<int64_t>();
  at::Tensor average = s.g.w_avg();
  if (s.phase != "Greg") average = at::lerp(w.mean({0}), average, 0.998);
  if (s.phase != "Gmain") average = at::lerp(w.narrow(0, 0, half).mean({0}), average, 0.998);
  s.c.compare(name, average);
}

void run_phase(const Case& c, const std::string& phase) {
  const Setup s(c, phase);
  if (phase == "Gmain" || phase == "Gboth") g_main(s);
  if (phase == "Greg" || phase == "Gboth") g_reg(s);
  if (phase == "Dmain" || phase == "Dboth") d_main(s);
  if (phase == "Dreg" || phase == "Dboth") d_reg(s);
  check_average(s);
  compare_gradients(c, phase + "/grad", phase[0] == 'G' ? static_cast<const Network&>(s.g) : s.d);
}

bool run(const Case& c) {
  const nlohmann::json config = c.config();
  if (config["cfg"] != "creps" || !config["augment"].is_null()) return false;
  for (const std::string& phase : c.list("")) {
    if (phase == "G" || phase == "D" || phase == "in") continue;
    run_phase(c, phase);
  }
  return true;
}

}  // namespace

Section loss_phases_section() {
  return {"loss_phases", root_groups, run};
}

}  // namespace galette::golden
