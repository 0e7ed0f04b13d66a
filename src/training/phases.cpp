// SPDX-License-Identifier: Apache-2.0
#include "training/phases.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "training/losses.h"

namespace galette {
namespace {

// What a sample's loss is multiplied with before the backward pass, so that gradients inside layers
// of 16 bits have the same magnitude for every batch, micro-batch and rank count; the rest of 1/B
// follows in float32.
constexpr double kSampleWeight = 0.25;
// Weight of the past in the running average of w.
constexpr double kAverageDecay = 0.998;

/// Every other sample takes part in path-length regularisation, by its number in the whole batch.
std::vector<int64_t> path_samples(const std::vector<int64_t>& samples) {
  std::vector<int64_t> even;
  for (const int64_t g : samples) {
    if (g % 2 == 0) even.push_back(g);
  }
  return even;
}

void require_grad(TrainState& state, bool generator) {
  state.g->arena().set_requires_grad(generator);
  state.d->arena().set_requires_grad(!generator);
}

}  // namespace

std::string phase_name(Phase phase) {
  switch (phase) {
    case Phase::g_main:
      return "Gmain";
    case Phase::g_reg:
      return "Greg";
    case Phase::d_main:
      return "Dmain";
    case Phase::d_reg:
      return "Dreg";
    case Phase::none:
      break;
  }
  return "none";
}

int64_t LossConfig::interval(Phase phase) const {
  if (phase == Phase::g_reg) return intervals.g;
  if (phase == Phase::d_reg) return intervals.d;
  return 1;
}

PhaseRunner::PhaseRunner(TrainState& state, const LossConfig& config, const BatchPlan& plan,
                         Communicator& comm, const Draws& draws, FakeLabels fake_labels,
                         Statistics& stats)
    : state_(state),
      config_(config),
      plan_(plan),
      comm_(comm),
      draws_(draws),
      fake_labels_(std::move(fake_labels)),
      stats_(stats) {}

int64_t PhaseRunner::run(Phase phase, const RealBatch& reals) {
  const bool generator = phase == Phase::g_main || phase == Phase::g_reg;
  if (phase == Phase::g_reg && config_.path_length_weight == 0) return 0;
  if (phase == Phase::d_reg && config_.gamma == 0) return 0;
  require_grad(state_, generator);
  (generator ? state_.g->arena() : state_.d->arena()).clear_gradients();
  if (phase == Phase::g_reg) return g_reg();

  at::Tensor w_sum = at::zeros({state_.g->w_dim()}, state_.g->arena().options().dtype(at::kDouble));
  for (int64_t step = 0; step < plan_.steps(); ++step) {
    if (phase == Phase::g_main) g_main(step);
    if (phase == Phase::d_main) d_main(step, reals, w_sum);
    if (phase == Phase::d_reg) d_reg(step, reals);
  }
  if (phase == Phase::d_main) update_w_avg(w_sum);
  const double scale = 1 / (kSampleWeight * static_cast<double>(plan_.batch));
  return generator ? reduce_and_step(*state_.g, *state_.g_adam, scale)
                   : reduce_and_step(*state_.d, *state_.d_adam, scale);
}

void PhaseRunner::g_main(int64_t step) {
  const std::vector<int64_t> samples = plan_.samples(step);
  const AdversarialLoss loss = generator_loss(*state_.g, *state_.d, latents(Phase::g_main, samples),
                                              fake_labels(Phase::g_main, samples));
  stats_.report("Loss/scores/fake", loss.logits);
  stats_.report("Loss/signs/fake", loss.logits.sign());
  stats_.report("Loss/G/loss", loss.loss);
  backward(Phase::g_main, loss.loss);
}

/// The penalty is taken against the mean length of the whole batch, so all lengths come first. With
/// several micro-batches they are computed twice: graphs of all of them would not fit.
int64_t PhaseRunner::g_reg() {
  std::vector<std::vector<int64_t>> micro_samples;
  std::vector<at::Tensor> micro_lengths;
  double sum = 0;
  for (int64_t step = 0; step < plan_.steps(); ++step) {
    micro_samples.push_back(path_samples(plan_.samples(step)));
    micro_lengths.push_back(lengths(micro_samples.back(), plan_.steps() == 1));
    sum += micro_lengths.back().detach().to(at::kDouble).sum().item<double>();
  }
  const int64_t even_samples = (plan_.batch + 1) / 2;
  const auto count = static_cast<double>(even_samples);
  PathLengthMean& mean = state_.path_length_mean;
  mean.update(comm_.sum(sum), count);
  for (size_t step = 0; step < micro_samples.size(); ++step) {
    if (micro_samples[step].empty()) continue;
    const at::Tensor length =
        plan_.steps() == 1 ? micro_lengths[step] : lengths(micro_samples[step], true);
    const at::Tensor penalty = mean.penalty(length.detach());
    stats_.report("Loss/pl_penalty", penalty);
    stats_.report("Loss/G/reg", penalty * config_.path_length_weight);
    const at::Tensor weighted = mean.gradient_factors(length) * length;
    backward(Phase::g_reg, weighted * config_.path_length_weight);
  }
  return reduce_and_step(*state_.g, *state_.g_adam, 2 / (kSampleWeight * count));
}

void PhaseRunner::d_main(int64_t step, const RealBatch& reals, at::Tensor& w_sum) {
  const std::vector<int64_t> samples = plan_.samples(step);
  const at::Tensor c = fake_labels(Phase::d_main, samples);
  at::Tensor images;
  {
    const at::NoGradGuard no_grad;
    const at::Tensor w = state_.g->map(latents(Phase::d_main, samples), c);
    w_sum += w.to(at::kDouble).sum(0);
    images = state_.g->synthesize(state_.g->broadcast(w));
  }
  const AdversarialLoss fake = discriminator_fake_loss(*state_.d, images, c);
  stats_.report("Loss/scores/fake", fake.logits);
  stats_.report("Loss/signs/fake", fake.logits.sign());
  backward(Phase::d_main, fake.loss);
  const AdversarialLoss real =
      discriminator_real_loss(*state_.d, real_images(reals, step), real_labels(reals, step));
  stats_.report("Loss/scores/real", real.logits);
  stats_.report("Loss/signs/real", real.logits.sign());
  stats_.report("Loss/D/loss", fake.loss + real.loss);
  backward(Phase::d_main, real.loss);
}

void PhaseRunner::d_reg(int64_t step, const RealBatch& reals) {
  const R1Penalty r1 = r1_penalty(*state_.d, real_images(reals, step), real_labels(reals, step));
  const at::Tensor weighted = r1.penalty * (config_.gamma / 2);
  stats_.report("Loss/scores/real", r1.logits);
  stats_.report("Loss/signs/real", r1.logits.sign());
  stats_.report("Loss/r1_penalty", r1.penalty);
  stats_.report("Loss/D/reg", weighted);
  backward(Phase::d_reg, weighted);
}

int64_t PhaseRunner::reduce_and_step(Network& network, Adam& adam, double grad_scale) {
  ParameterArena& arena = network.arena();
  comm_.all_reduce(arena.flat_gradients(), ReduceOp::sum);
  // A rank whose share held no sample of this loss contributes zeros, but steps like the others.
  comm_.all_reduce(arena.reached(), ReduceOp::max);
  return adam.step(grad_scale);
}

void PhaseRunner::update_w_avg(const at::Tensor& w_sum) {
  comm_.all_reduce(w_sum, ReduceOp::sum);
  const at::NoGradGuard no_grad;
  at::Tensor average = state_.g->w_avg();
  const at::Tensor mean = (w_sum / static_cast<double>(plan_.batch)).to(average.scalar_type());
  average.copy_(at::lerp(mean, average, kAverageDecay));
}

at::Tensor PhaseRunner::latents(Phase phase, const std::vector<int64_t>& samples) const {
  return draws_.latents(phase, state_.iteration, samples, state_.g->z_dim());
}

at::Tensor PhaseRunner::fake_labels(Phase phase, const std::vector<int64_t>& samples) const {
  return fake_labels_(phase, state_.iteration, samples).to(state_.g->arena().options());
}

at::Tensor PhaseRunner::real_images(const RealBatch& reals, int64_t step) const {
  const at::Tensor images = reals.images.narrow(0, step * plan_.micro, plan_.micro);
  return images.to(state_.d->arena().options()).div_(127.5).sub_(1);
}

at::Tensor PhaseRunner::real_labels(const RealBatch& reals, int64_t step) const {
  return reals.labels.narrow(0, step * plan_.micro, plan_.micro).to(state_.d->arena().options());
}

at::Tensor PhaseRunner::lengths(const std::vector<int64_t>& samples, bool differentiable) const {
  const Generator& g = *state_.g;
  if (samples.empty()) return at::empty({0}, g.arena().options());
  return path_lengths(
      g, latents(Phase::g_reg, samples), fake_labels(Phase::g_reg, samples),
      draws_.path_noise(state_.iteration, samples, g.img_channels(), g.img_resolution()),
      differentiable);
}

void PhaseRunner::backward(Phase phase, const at::Tensor& per_sample_loss) const {
  const auto weight = kSampleWeight * static_cast<double>(config_.interval(phase));
  torch::autograd::backward({per_sample_loss.sum() * weight}, {});
}

}  // namespace galette
