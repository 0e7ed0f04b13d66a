// SPDX-License-Identifier: Apache-2.0
// loss_phases: each phase's statistics, gradients, path-length mean and running averages.
// Galette's pieces are called in the reference's order, with samples permuted so that groups of
// minibatch standard deviation are consecutive.
#include <fmt/format.h>

#include "models/discriminator.h"
#include "recorded_pass.h"
#include "training/blur.h"

namespace galette::golden {
namespace {

/// The networks and inputs of a case; one per phase, since phases start from the same state.
struct Setup {
  const Case& c;
  nlohmann::json config;
  std::string phase;
  double gain;
  std::unique_ptr<Generator> g;
  StyleGan2Discriminator d;
  at::Tensor order, back, z, gen_c, real, real_c;  // in our order
  RecordedDraws draws;
  InputMagnitudes magnitudes;

  Setup(const Case& a_case, const std::string& phase_name)
      : c(a_case),
        config(c.config()),
        phase(phase_name),
        gain(phase_gain()),
        g(make_recorded_generator(cfg(), config["G_kwargs"], c.options())),
        d(DiscriminatorConfig::from_json(config["D_kwargs"]), c.options()),
        draws(c, phase + "/draws") {
    load_state(c, "G/state", *g);
    load_state(c, "D/state", d);
    g->arena().set_requires_grad(phase[0] == 'G');
    d.arena().set_requires_grad(phase[0] == 'D');
    const auto group = DiscriminatorConfig::from_json(config["D_kwargs"]).mbstd_group_size;
    order = consecutive_groups(c.get("in/gen_z"), group);
    back = inverse_order(order);
    z = in("gen_z");
    gen_c = in("gen_c");
    real = in("real_img");
    real_c = in("real_c");
  }

  std::string cfg() const { return config["cfg"]; }
  at::Tensor in(const std::string& name) const {
    return c.get("in/" + name).index_select(0, order);
  }
  double loss(const char* name) const { return config["loss_kwargs"].value(name, 0.0); }
  double phase_gain() const {
    return nlohmann::json::parse(
        c.file().string_attribute(c.name() + "/" + phase, "config"))["gain"];
  }
  Critic critic() const {
    const double sigma = blur_sigma(loss("blur_init_sigma"), loss("blur_fade_kimg"),
                                    config["cur_nimg"].get<int64_t>());
    return Critic(d, [sigma](const at::Tensor& images) { return blur_images(images, sigma); });
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

void g_main(Setup& s) {
  const RecordedPass pass =
      begin_pass(*s.g, s.draws, s.z, s.gen_c, s.order, s.loss("style_mixing_prob"));
  const AdversarialLoss loss =
      generator_loss(s.critic(), s.g->synthesize(pass.ws, pass.synthesis), s.gen_c);
  s.compare_scores("fake", loss.logits);
  s.compare_samples("Loss.G.loss", loss.loss);
  torch::autograd::backward({loss.loss.mean() * s.gain}, {});
}

/// The reference takes the first half of the batch.
void g_reg(Setup& s) {
  const at::Tensor z = s.c.get("in/gen_z");
  const int64_t half = z.size(0) / s.config["pl_batch_shrink"].get<int64_t>();
  const RecordedPass pass =
      begin_pass(*s.g, s.draws, z.narrow(0, 0, half), s.c.get("in/gen_c").narrow(0, 0, half),
                 at::arange(half, z.options().dtype(at::kLong)), s.loss("style_mixing_prob"));
  const std::vector<std::string> names = s.c.list(s.phase + "/draws");
  const at::Tensor noise = s.c.get(s.phase + "/draws/" + names.back());
  const at::Tensor lengths = path_lengths(*s.g, pass.ws, noise, pass.synthesis, true);
  PathLengthMean mean(s.c.get("in/pl_mean").item<double>());
  mean.update(lengths.detach().to(at::kDouble).sum(), static_cast<double>(half));
  const double weight = s.config["loss_kwargs"]["pl_weight"];
  s.compare("Loss.pl_penalty", mean.penalty(lengths));
  s.compare("Loss.G.reg", mean.penalty(lengths) * weight);
  s.compare("pl_mean_after", at::scalar_tensor(mean.value(), at::kDouble));
  const at::Tensor loss = (mean.gradient_factors(lengths) * lengths).sum();
  torch::autograd::backward({loss * (2 * weight / static_cast<double>(half) * s.gain)}, {});
}

void d_main(Setup& s) {
  RecordedPass pass = begin_pass(*s.g, s.draws, s.z, s.gen_c, s.order, s.loss("style_mixing_prob"));
  s.magnitudes = immediate_magnitudes(*s.g, s.config["G_kwargs"].value("magnitude_ema_beta", 1.0));
  pass.synthesis.magnitudes = &s.magnitudes;
  const at::Tensor images = s.g->synthesize(pass.ws, pass.synthesis);
  const AdversarialLoss fake = discriminator_fake_loss(s.critic(), images, s.gen_c);
  torch::autograd::backward({fake.loss.mean() * s.gain}, {});
  const AdversarialLoss real = discriminator_real_loss(s.critic(), s.real, s.real_c);
  torch::autograd::backward({real.loss.mean() * s.gain}, {});
  s.compare_scores("fake", fake.logits);
  s.compare_scores("real", real.logits);
  s.compare_samples("Loss.D.loss", fake.loss + real.loss);
}

void d_reg(Setup& s) {
  const R1Penalty r1 = r1_penalty(s.critic(), s.real, s.real_c);
  const double half_gamma = s.loss("r1_gamma") / 2;
  s.compare_scores("real", r1.logits);
  s.compare_samples("Loss.r1_penalty", r1.penalty);
  s.compare_samples("Loss.D.reg", r1.penalty * half_gamma);
  torch::autograd::backward({(r1.penalty * half_gamma).mean() * s.gain}, {});
}

/// creps moves w_avg at every mapping call of a G phase: over all samples in the main loss, over
/// half of them in the path-length pass. The others move it in the main D phase.
at::Tensor moved_average(const Setup& s) {
  const at::Tensor w = s.g->map(s.c.get("in/gen_z"), s.c.get("in/gen_c")).detach();
  if (!moves_average_in_g_phase(s.cfg())) return at::lerp(w.mean({0}), s.g->w_avg(), 0.998);
  const int64_t half = w.size(0) / s.config["pl_batch_shrink"].get<int64_t>();
  at::Tensor average = s.g->w_avg();
  if (s.phase != "Greg") average = at::lerp(w.mean({0}), average, 0.998);
  if (s.phase != "Gmain") average = at::lerp(w.narrow(0, 0, half).mean({0}), average, 0.998);
  return average;
}

void check_buffers(const Setup& s) {
  const std::string group = s.phase + "/out/state_after_G/";
  if (!s.c.has(group)) return;
  std::vector<std::pair<std::string, at::Tensor>> moved{{"mapping.w_avg", moved_average(s)}};
  if (s.magnitudes.sums.defined()) {
    for (const auto& entry : moved_magnitudes(*s.g, s.magnitudes)) moved.push_back(entry);
  }
  s.c.expect(s.c.list(group).size() == moved.size(), s.phase + " moves as many buffers");
  for (const auto& [name, value] : moved) s.c.compare(group + name, value);
}

void run_phase(const Case& c, const std::string& phase) {
  Setup s(c, phase);
  if (phase == "Gmain" || phase == "Gboth") g_main(s);
  if (phase == "Greg" || phase == "Gboth") g_reg(s);
  if (phase == "Dmain" || phase == "Dboth") d_main(s);
  if (phase == "Dreg" || phase == "Dboth") d_reg(s);
  check_buffers(s);
  compare_gradients(c, phase + "/grad", phase[0] == 'G' ? static_cast<const Network&>(*s.g) : s.d);
}

/// StyleGAN3's styles are normalised per sample here and over the batch in the reference. That
/// cancels in the demodulation up to its epsilon, 1e-8 of the mean square of a few weights, which
/// a leaky ReLU or two then amplify.
constexpr double kStyleGan3Tolerance = 3e-8;

bool run(const Case& given) {
  if (!given.config()["augment"].is_null()) return false;
  const bool is_stylegan3 = given.config()["cfg"].get<std::string>().starts_with("stylegan3");
  const Case c = is_stylegan3 ? given.with_exact_tolerance(kStyleGan3Tolerance) : given;
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
