// SPDX-License-Identifier: Apache-2.0
// optimizer_ema: some iterations of all phases with accumulation, Adam and the average of G.
// The reference moves the path-length mean and w_avg at every micro-batch and adds micro-batches
// without dividing; Galette's pieces are called in that order and with that scale.
#include <fmt/format.h>

#include "kernels/multi_tensor.h"
#include "models/discriminator.h"
#include "recorded_pass.h"
#include "training/adam.h"
#include "training/ema.h"

namespace galette::golden {
namespace {

class Run {
 public:
  explicit Run(const Case& c)
      : c_(c),
        config_(c.config()),
        g_owner_(make_recorded_generator(c.name(), config_["G_kwargs"], c.options())),
        g_ema_owner_(make_recorded_generator(c.name(), config_["G_kwargs"], c.options())),
        g_(*g_owner_),
        g_ema_(*g_ema_owner_),
        d_(DiscriminatorConfig::from_json(config_["D_kwargs"]), c.options()),
        group_(DiscriminatorConfig::from_json(config_["D_kwargs"]).mbstd_group_size) {
    load_state(c, "G/state", g_);
    load_state(c, "D/state", d_);
    load_state(c, "G_ema/state", g_ema_);
    g_adam_.emplace(g_.arena(), AdamConfig::lazy(config_["G_lr"], interval("G_reg_interval")));
    d_adam_.emplace(d_.arena(), AdamConfig::lazy(config_["D_lr"], interval("D_reg_interval")));
    images_ = config_["start_nimg"];
  }

  /// `exact` is the same run in float64, or null. Adam divides each gradient by its own size, and
  /// kinks flip: both amplify rounding from step to step, so in float32 each phase starts from the
  /// exact state.
  void run(Run* exact) {
    exact_ = exact;
    for (iteration_ = 0; iteration_ < config_["iterations"].get<int64_t>(); ++iteration_) {
      if (exact_ != nullptr) exact_->iteration_ = iteration_;
      iterate();
      if (iteration_ == 0) compare_states("out/after_first");
    }
    compare_states("out/final");
    compare_network("out/final/G_ema", g_ema_);
    compare_adam("out/final/adam_G", g_, *g_adam_);
    compare_adam("out/final/adam_D", d_, *d_adam_);
  }

 private:
  void take_state(const Run& other) {
    const auto take_network = [](Network& to, const Network& from) {
      to.arena().flat_parameters().copy_(from.arena().flat_parameters());
      to.arena().flat_buffers().copy_(from.arena().flat_buffers());
    };
    const auto take_adam = [](const Adam& to, const Adam& from) {
      to.second_moment().copy_(from.second_moment());
      to.step_counts().copy_(from.step_counts());
    };
    take_network(g_, other.g_);
    take_network(g_ema_, other.g_ema_);
    take_network(d_, other.d_);
    take_adam(*g_adam_, *other.g_adam_);
    take_adam(*d_adam_, *other.d_adam_);
    path_mean_.set(other.path_mean_.value());
  }

  std::string at(const std::string& path) const {
    return fmt::format("iter{}/{}", iteration_, path);
  }
  /// One micro-batch, in the order in which minibatch groups are consecutive.
  struct Round {
    std::string name;
    at::Tensor order, back, z, gen_c, real, real_c;
  };

  int64_t interval(const char* name) const {
    return config_[name].is_null() ? 1 : config_[name].get<int64_t>();
  }
  double loss(const char* name) const { return config_["loss_kwargs"].value(name, 0.0); }
  RecordedDraws draws(const Round& r) const { return {c_, at("draws/" + r.name)}; }
  int64_t batch() const { return config_["batch_size"]; }
  int64_t micro() const { return config_["batch_gpu"]; }

  void iterate() {
    for (const std::string phase : {"Gmain", "Greg", "Dmain", "Dreg"}) {
      if (phase == "Greg" && config_["G_reg_interval"].is_null()) continue;
      const int64_t every = phase == "Greg"   ? interval("G_reg_interval")
                            : phase == "Dreg" ? interval("D_reg_interval")
                                              : 1;
      if (iteration_ % every != 0) continue;
      if (exact_ != nullptr) {
        take_state(*exact_);
        exact_->run_phase(phase, static_cast<double>(every));
      }
      run_phase(phase, static_cast<double>(every));
    }
    finish_iteration();
    if (exact_ != nullptr) exact_->finish_iteration();
  }

  void finish_iteration() {
    const EmaConfig ema{config_["ema_kimg"], config_["ema_rampup"].get<double>()};
    const double beta = ema_beta(ema, static_cast<double>(images_), static_cast<double>(batch()));
    update_ema(g_ema_, g_, beta);
    c_.compare(at("out/ema_beta"), at::scalar_tensor(beta, at::kDouble));
    c_.compare(at("out/pl_mean"), at::scalar_tensor(path_mean_.value(), at::kDouble));
    c_.compare(at("out/w_avg"), g_.w_avg());
    images_ += batch();
  }

  void run_phase(const std::string& phase, double gain) {
    const bool generator = phase[0] == 'G';
    Network& network = generator ? static_cast<Network&>(g_) : d_;
    g_.arena().set_requires_grad(generator);
    d_.arena().set_requires_grad(!generator);
    network.arena().clear_gradients();
    for (int64_t round = 0; round < batch() / micro(); ++round) {
      const Round r = make_round(phase, round);
      if (phase == "Gmain") g_main(r, gain);
      if (phase == "Greg") g_reg(r, gain);
      if (phase == "Dmain") d_main(r, gain);
      if (phase == "Dreg") d_reg(r, gain);
    }
    const at::Tensor norm = network.arena().flat_gradients().to(at::kDouble).norm();
    c_.compare(at("out/" + phase + "_grad_norm"), norm, norm_tolerance());
    (generator ? *g_adam_ : *d_adam_).step(1);
  }

  /// In float32 a leaky ReLU whose argument is next to zero may take the other side, which moves
  /// the gradient by that element's share: in networks as small as these, up to a thousandth.
  double norm_tolerance() const { return c_.type() == at::kFloat ? 2e-3 : c_.tolerance(); }

  Round make_round(const std::string& phase, int64_t round) const {
    const auto rows = [&](const std::string& name) {
      return c_.raw(at("in/" + name)).narrow(0, round * micro(), micro());
    };
    Round r;
    r.name = fmt::format("{}_round{}", phase, round);
    r.z = rows(phase + "_gen_z").to(c_.options());
    r.gen_c = rows(phase + "_gen_c").to(c_.options());
    r.order = consecutive_groups(r.z, group_);
    r.back = inverse_order(r.order);
    r.real = (rows("real_img_uint8").to(c_.options()) / 127.5 - 1).index_select(0, r.order);
    r.real_c = rows("real_c").to(c_.options()).index_select(0, r.order);
    return r;
  }

  void compare_samples(const Round& r, const std::string& name, const at::Tensor& value) const {
    c_.compare(at("out/" + r.name + "/" + name), value.index_select(0, r.back));
  }

  void move_average(const at::Tensor& w) {
    const at::NoGradGuard no_grad;
    g_.w_avg().copy_(at::lerp(w.detach().mean({0}), g_.w_avg(), 0.998));
  }

  void g_main(const Round& r, double gain) {
    RecordedDraws recorded = draws(r);
    const at::Tensor c = r.gen_c.index_select(0, r.order);
    const RecordedPass pass = begin_pass(g_, recorded, r.z.index_select(0, r.order), c, r.order,
                                         loss("style_mixing_prob"));
    const AdversarialLoss l = generator_loss(Critic(d_), g_.synthesize(pass.ws, pass.synthesis), c);
    if (moves_average_in_g_phase(c_.name())) move_average(pass.w);
    compare_samples(r, "Loss.G.loss", l.loss);
    compare_samples(r, "Loss.scores.fake", l.logits);
    torch::autograd::backward({l.loss.mean() * gain}, {});
  }

  void g_reg(const Round& r, double gain) {
    const int64_t half = micro() / 2;
    RecordedDraws recorded = draws(r);
    const RecordedPass pass =
        begin_pass(g_, recorded, r.z.narrow(0, 0, half), r.gen_c.narrow(0, 0, half),
                   at::arange(half, r.order.options()), loss("style_mixing_prob"));
    const std::string group = at("draws/" + r.name);
    const at::Tensor lengths = path_lengths(
        g_, pass.ws, c_.get(group + "/" + c_.list(group).back()), pass.synthesis, true);
    if (moves_average_in_g_phase(c_.name())) move_average(pass.w);
    path_mean_.update(lengths.detach().to(at::kDouble).sum(), static_cast<double>(half));
    const double weight = config_["loss_kwargs"]["pl_weight"];
    c_.compare(at("out/" + r.name + "/Loss.G.reg"), path_mean_.penalty(lengths) * weight);
    const at::Tensor l = (path_mean_.gradient_factors(lengths) * lengths).sum();
    torch::autograd::backward({l * (2 * weight / static_cast<double>(half) * gain)}, {});
  }

  void d_main(const Round& r, double gain) {
    RecordedDraws recorded = draws(r);
    const at::Tensor c = r.gen_c.index_select(0, r.order);
    RecordedPass pass = begin_pass(g_, recorded, r.z.index_select(0, r.order), c, r.order,
                                   loss("style_mixing_prob"));
    InputMagnitudes magnitudes =
        immediate_magnitudes(g_, config_["G_kwargs"].value("magnitude_ema_beta", 1.0));
    pass.synthesis.magnitudes = &magnitudes;
    const at::Tensor images = g_.synthesize(pass.ws, pass.synthesis);
    if (!moves_average_in_g_phase(c_.name())) move_average(pass.w);
    for (const auto& [name, value] : moved_magnitudes(g_, magnitudes)) {
      g_.arena().find(name).copy_(value);
    }
    const AdversarialLoss fake = discriminator_fake_loss(Critic(d_), images, c);
    torch::autograd::backward({fake.loss.mean() * gain}, {});
    const AdversarialLoss real = discriminator_real_loss(Critic(d_), r.real, r.real_c);
    torch::autograd::backward({real.loss.mean() * gain}, {});
    compare_samples(r, "Loss.scores.fake", fake.logits);
    compare_samples(r, "Loss.scores.real", real.logits);
    compare_samples(r, "Loss.D.loss", fake.loss + real.loss);
  }

  void d_reg(const Round& r, double gain) {
    const R1Penalty r1 = r1_penalty(Critic(d_), r.real, r.real_c);
    const at::Tensor l = r1.penalty * (loss("r1_gamma") / 2);
    compare_samples(r, "Loss.scores.real", r1.logits);
    compare_samples(r, "Loss.D.reg", l);
    torch::autograd::backward({l.mean() * gain}, {});
  }

  void compare_network(const std::string& path, const Network& network) const {
    for (const auto* entries : {&network.arena().parameters(), &network.arena().buffers()}) {
      for (const ArenaEntry& entry : *entries) c_.compare(path + "/" + entry.name, entry.tensor);
    }
  }

  void compare_states(const std::string& path) const {
    compare_network(path + "/G", g_);
    compare_network(path + "/D", d_);
  }

  /// Second moments and step counts of the parameters that were ever stepped.
  void compare_adam(const std::string& path, const Network& network, const Adam& adam) const {
    const std::vector<ArenaEntry>& entries = network.arena().parameters();
    for (size_t i = 0; i < entries.size(); ++i) {
      const ArenaEntry& e = entries[i];
      const int64_t steps = adam.step_counts()[static_cast<int64_t>(i)].item<int64_t>();
      const std::string name = path + "/" + e.name;
      if (steps == 0 || !c_.has(name + ".step")) {
        c_.expect(steps == 0 && !c_.has(name + ".step"), name + " was never stepped");
        continue;
      }
      c_.compare(name + ".exp_avg_sq",
                 adam.second_moment().narrow(0, e.offset, e.size).view(e.shape));
      c_.compare(name + ".step", at::scalar_tensor(static_cast<double>(steps), at::kDouble), 0);
    }
  }

  const Case& c_;
  Run* exact_ = nullptr;
  nlohmann::json config_;
  std::unique_ptr<Generator> g_owner_, g_ema_owner_;
  Generator &g_, &g_ema_;
  StyleGan2Discriminator d_;
  int64_t group_;
  std::optional<Adam> g_adam_, d_adam_;
  PathLengthMean path_mean_;
  int64_t iteration_ = 0, images_ = 0;
};

/// Sanitised gradients: with beta2 = 0 the stored second moment is the square of what was used.
void check_sanitising(const Case& c) {
  const at::Tensor flat = c.get("in/flat");
  at::Tensor theta = at::zeros_like(flat), moment = at::zeros_like(flat);
  adam_step(theta, flat, moment, {.lr = 1, .beta2 = 0, .eps = 1e-8, .step = 1, .grad_scale = 1});
  // theta is minus the sign of the gradient, the root of the moment its magnitude.
  c.compare("out/flat", moment.sqrt() * -theta.sign());
}

bool run(const Case& c) {
  if (c.name() == "nan_to_num") {
    check_sanitising(c);
    return true;
  }
  if (c.type() == at::kDouble) {
    Run(c).run(nullptr);
    return true;
  }
  Report quiet(true);
  const Case exact_case(c.file(), c.name(), c.options().dtype(at::kDouble), quiet);
  Run exact(exact_case);
  Run(c).run(&exact);
  return true;
}

}  // namespace

Section optimizer_ema_section() {
  return {"optimizer_ema", root_groups, run};
}

}  // namespace galette::golden
