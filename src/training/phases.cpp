// SPDX-License-Identifier: Apache-2.0
#include "training/phases.h"

#include <limits>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include "base/clock.h"
#include "base/host_name.h"
#include "training/losses.h"

namespace galette {
namespace {

// What a sample's loss is multiplied with before the backward pass, so that gradients inside layers
// of 16 bits have the same magnitude for every batch, micro-batch and rank count; the rest of 1/B
// follows in float32.
constexpr double kSampleWeight = 0.25;
// Weight of the past in the running average of w.
constexpr double kAverageDecay = 0.998;

bool is_generator_phase(Phase phase) {
  return phase == Phase::g_main || phase == Phase::g_reg;
}

void require_grad(TrainState& state, bool generator) {
  state.g->arena().set_requires_grad(generator);
  state.d->arena().set_requires_grad(!generator);
}

/// Ranks of one host that exchange through its memory have no time to gain: the cores that copy and
/// add are those that compute. Collective.
bool overlap_pays(const ParameterArena& arena, Communicator& comm) {
  return arena.options().device().is_cuda() || !comm.agree(fnv1a64(host_name()));
}

ReductionConfig reduction_config(const ParameterArena& arena, const Adam& adam, Communicator& comm,
                                 const PhaseExecution& execution) {
  const bool pays = execution.overlap == Overlap::always || overlap_pays(arena, comm);
  // A graph is queued in one piece: nothing can be started in its middle.
  const bool overlaps = pays && execution.graphs == Graphs::off;
  return {adam.plan(), adam.is_shared(), overlaps && comm.size() > 1 && adam.plan().count() > 1};
}

/// Collective: the lowest rank with a gradient that is not finite, and the first such tensor there.
/// `first` is this rank's, or -1.
std::string describe_non_finite(Communicator& comm, Phase phase, const Network& network,
                                int64_t first) {
  const auto count = static_cast<int64_t>(network.arena().parameters().size());
  constexpr int64_t kAllFinite = std::numeric_limits<int64_t>::max();
  const int64_t code = first < 0 ? kAllFinite : comm.rank() * count + first;
  const at::Tensor lowest = at::tensor({code}, at::kLong);
  comm.all_reduce(lowest, ReduceOp::min);
  const int64_t found = lowest.item<int64_t>();
  if (found == kAllFinite) return fmt::format("{}: the sum over the ranks", phase_name(phase));
  return fmt::format("rank {}, {}, {}", found / count, phase_name(phase),
                     network.arena().parameters()[static_cast<size_t>(found % count)].name);
}

}  // namespace

PhaseRunner::PhaseRunner(TrainState& state, const LossConfig& config, const BatchPlan& plan,
                         Communicator& comm, PhaseInputs inputs, Statistics& stats,
                         PhaseExecution execution)
    : state_(state),
      config_(config),
      plan_(plan),
      comm_(comm),
      inputs_(std::move(inputs)),
      stats_(stats),
      g_reducer_(state.g->arena(), comm,
                 reduction_config(state.g->arena(), *state.g_adam, comm, execution)),
      d_reducer_(state.d->arena(), comm,
                 reduction_config(state.d->arena(), *state.d_adam, comm, execution)),
      graphs_(execution.graphs, std::move(execution.recorder)) {}

QueuedPhase PhaseRunner::run(Phase phase, const RealBatch& reals) {
  const bool generator = is_generator_phase(phase);
  std::unique_ptr<DeviceTimer> time = start_timer(state_.g->arena().options().device());
  require_grad(state_, generator);
  (generator ? state_.g->arena() : state_.d->arena()).clear_gradients();
  const PhaseDraws draws = inputs_.draw(phase, plan_, reals);
  const auto compute = [this, phase](const PhaseDraws& on) { return this->compute(phase, on); };
  const BatchSums sums =
      is_local(phase) ? graphs_.run(phase, draws, effects(phase), compute) : compute(draws);
  if (phase == Phase::d_main) update_averages(sums);
  const at::Tensor non_finite = reduce_and_step(phase);
  time->stop();
  return {phase, reducer(phase).steps(), start_host_copy(non_finite), std::move(time)};
}

GradientHealth PhaseRunner::finish(const QueuedPhase& queued) {
  GradientHealth health;
  health.non_finite = queued.non_finite->wait().item<int64_t>();
  const Phase phase = queued.phase;
  if (health.non_finite > 0) {
    const bool generator = is_generator_phase(phase);
    const Network& network = generator ? static_cast<Network&>(*state_.g) : *state_.d;
    health.where =
        describe_non_finite(comm_, phase, network, reducer(phase).first_non_finite(queued.step));
  }
  if (comm_.rank() == 0)
    stats_.report("Timing/" + phase_name(phase), 1000 * queued.time->seconds());
  return health;
}

BatchSums PhaseRunner::compute(Phase phase, const PhaseDraws& draws) {
  BatchSums sums = phase == Phase::d_main ? empty_sums() : BatchSums();
  if (phase == Phase::g_reg) {
    g_reg(draws);
    return sums;
  }
  for (const MicroBatch& micro : draws.micro) {
    const bool is_last = &micro == &draws.micro.back();
    if (phase == Phase::g_main) g_main(draws, micro, is_last);
    if (phase == Phase::d_main) d_main(draws, micro, is_last, sums);
    if (phase == Phase::d_reg) d_reg(draws, micro, is_last);
  }
  return sums;
}

/// Path lengths are compared with the mean over all ranks in the middle of their phase.
bool PhaseRunner::is_local(Phase phase) const {
  return phase != Phase::g_reg || comm_.size() == 1;
}

PhaseGraphs::Effects PhaseRunner::effects(Phase phase) {
  const ParameterArena& arena = state_.g->arena();
  PhaseGraphs::Effects effects{is_generator_phase(phase) ? state_.g->arena() : state_.d->arena(),
                               {stats_.sums_on(arena.options().device())}};
  if (phase == Phase::g_reg) effects.in_place.push_back(state_.path_length_mean.tensor());
  if (phase == Phase::d_main || phase == Phase::d_reg)
    effects.in_place.push_back(state_.ada.seen());
  return effects;
}

void PhaseRunner::g_main(const PhaseDraws& draws, const MicroBatch& micro, bool is_last) {
  const Phase phase = Phase::g_main;
  const at::Tensor w = state_.g->map(inputs_.latents(phase, micro), micro.labels);
  const at::Tensor images =
      state_.g->synthesize(inputs_.all_layers(phase, micro, w), inputs_.synthesis(phase, micro));
  const AdversarialLoss loss =
      generator_loss(inputs_.critic(draws, micro, Judged::generated), images, micro.labels);
  stats_.report_scores(ScoresOf::fake, loss.logits);
  stats_.report("Loss/G/loss", loss.loss);
  backward(phase, loss.loss, slopes(phase, loss.loss), is_last);
}

/// The penalty is taken against the mean length of the whole batch, so all lengths come first. With
/// several micro-batches they are computed twice: graphs of all of them would not fit.
void PhaseRunner::g_reg(const PhaseDraws& draws) {
  const bool at_once = draws.micro.size() == 1;
  std::vector<at::Tensor> micro_lengths;
  at::Tensor sum = at::zeros({}, state_.g->arena().options().dtype(at::kDouble));
  for (const MicroBatch& micro : draws.micro) {
    micro_lengths.push_back(lengths(micro, at_once));
    sum = sum + micro_lengths.back().detach().to(at::kDouble).sum();
  }
  PathLengthMean& mean = state_.path_length_mean;
  if (comm_.size() > 1) comm_.all_reduce(sum, ReduceOp::sum);
  mean.update(sum, static_cast<double>(path_sample_count(plan_)));
  size_t steps = draws.micro.size();
  while (steps > 0 && draws.micro[steps - 1].samples.empty()) --steps;
  for (size_t step = 0; step < steps; ++step) {
    if (draws.micro[step].samples.empty()) continue;
    const at::Tensor length = at_once ? micro_lengths[step] : lengths(draws.micro[step], true);
    const at::Tensor penalty = mean.penalty(length.detach());
    stats_.report("Loss/pl_penalty", penalty);
    stats_.report("Loss/G/reg", penalty * config_.path_length_weight);
    const double weight = sample_weight(Phase::g_reg) * config_.path_length_weight;
    backward(Phase::g_reg, length, mean.gradient_factors(length) * weight, step == steps - 1);
  }
}

void PhaseRunner::d_main(const PhaseDraws& draws, const MicroBatch& micro, bool is_last,
                         BatchSums& sums) {
  const Phase phase = Phase::d_main;
  at::Tensor images;
  {
    const at::NoGradGuard no_grad;
    const at::Tensor w = state_.g->map(inputs_.latents(phase, micro), micro.labels);
    sums.w += w.to(at::kDouble).sum(0);
    SynthesisOptions synthesis = inputs_.synthesis(phase, micro);
    synthesis.magnitudes = &sums.magnitudes;
    images = state_.g->synthesize(inputs_.all_layers(phase, micro, w), synthesis);
  }
  const AdversarialLoss fake = discriminator_fake_loss(
      inputs_.critic(draws, micro, Judged::generated), images, micro.labels);
  stats_.report_scores(ScoresOf::fake, fake.logits);
  backward(phase, fake.loss, slopes(phase, fake.loss), false);
  const AdversarialLoss real = discriminator_real_loss(
      inputs_.critic(draws, micro, Judged::real), inputs_.real_images(micro), micro.real_labels);
  state_.ada.observe(real.logits);
  stats_.report_scores(ScoresOf::real, real.logits);
  stats_.report("Loss/D/loss", fake.loss.detach() + real.loss.detach());
  backward(phase, real.loss, slopes(phase, real.loss), is_last);
}

void PhaseRunner::d_reg(const PhaseDraws& draws, const MicroBatch& micro, bool is_last) {
  const Phase phase = Phase::d_reg;
  const R1Penalty r1 = r1_penalty(inputs_.critic(draws, micro, Judged::real),
                                  inputs_.real_images(micro), micro.real_labels);
  const double half_gamma = config_.gamma / 2;
  state_.ada.observe(r1.logits);
  stats_.report_scores(ScoresOf::real, r1.logits);
  stats_.report("Loss/r1_penalty", r1.penalty);
  stats_.report("Loss/D/reg", r1.penalty.detach() * half_gamma);
  backward(phase, r1.penalty, slopes(phase, r1.penalty, half_gamma), is_last);
}

double PhaseRunner::grad_scale(Phase phase) const {
  const auto batch = static_cast<double>(plan_.batch);
  return phase == Phase::g_reg ? 2 / (kSampleWeight * static_cast<double>(path_sample_count(plan_)))
                               : 1 / (kSampleWeight * batch);
}

at::Tensor PhaseRunner::reduce_and_step(Phase phase) {
  const bool generator = is_generator_phase(phase);
  Network& network = generator ? static_cast<Network&>(*state_.g) : *state_.d;
  Adam& adam = generator ? *state_.g_adam : *state_.d_adam;
  ReductionTime time = reducer(phase).finish(static_cast<int>(phase));
  const at::Tensor non_finite = adam.step(grad_scale(phase));
  if (adam.is_shared()) {
    const Clock::time_point begin = Clock::now();
    gather_pieces(adam.plan(), network.arena().flat_parameters(), comm_);
    comm_.all_reduce(non_finite, ReduceOp::sum);
    time.exposed += seconds_since(begin);
  }
  report(phase, time);
  return non_finite;
}

void PhaseRunner::report(Phase phase, const ReductionTime& time) {
  if (comm_.rank() != 0) return;
  const std::string name = "Timing/" + phase_name(phase);
  stats_.report(name + "_comm_exposed_ms", 1000 * time.exposed);
  stats_.report(name + "_comm_hidden_ms", 1000 * time.hidden);
}

GradientReducer& PhaseRunner::reducer(Phase phase) {
  return is_generator_phase(phase) ? g_reducer_ : d_reducer_;
}

BatchSums PhaseRunner::empty_sums() const {
  const Generator& g = *state_.g;
  const at::TensorOptions options = g.arena().options().dtype(at::kDouble);
  const auto layers = static_cast<int64_t>(g.magnitude_averages().size());
  return {at::zeros({g.w_dim()}, options), {at::zeros({layers, 2}, options), std::nullopt}};
}

void PhaseRunner::update_averages(const BatchSums& sums) {
  const at::NoGradGuard no_grad;
  comm_.all_reduce(sums.w, ReduceOp::sum);
  at::Tensor average = state_.g->w_avg();
  const at::Tensor mean = (sums.w / static_cast<double>(plan_.batch)).to(average.scalar_type());
  at::lerp_out(average, mean, average, kAverageDecay);

  std::vector<at::Tensor> magnitudes = state_.g->magnitude_averages();
  if (magnitudes.empty()) return;
  const at::Tensor& rows = sums.magnitudes.sums;
  comm_.all_reduce(rows, ReduceOp::sum);
  const at::Tensor squares =
      (rows.select(1, 0) / rows.select(1, 1)).to(magnitudes[0].scalar_type());
  for (size_t i = 0; i < magnitudes.size(); ++i) {
    at::lerp_out(magnitudes[i], squares[static_cast<int64_t>(i)], magnitudes[i],
                 config_.magnitude_beta);
  }
}

at::Tensor PhaseRunner::lengths(const MicroBatch& micro, bool differentiable) const {
  const Phase phase = Phase::g_reg;
  const Generator& g = *state_.g;
  if (micro.samples.empty()) return at::empty({0}, g.arena().options());
  const at::Tensor w = g.map(inputs_.latents(phase, micro), micro.labels);
  return path_lengths(g, inputs_.all_layers(phase, micro, w), inputs_.path_noise(micro),
                      inputs_.synthesis(phase, micro), differentiable);
}

double PhaseRunner::sample_weight(Phase phase) const {
  return kSampleWeight * static_cast<double>(config_.interval(phase));
}

at::Tensor PhaseRunner::slopes(Phase phase, const at::Tensor& per_sample, double factor) const {
  return at::full_like(per_sample.detach(), sample_weight(phase) * factor);
}

void PhaseRunner::backward(Phase phase, const at::Tensor& per_sample, const at::Tensor& slopes,
                           bool is_last) {
  if (is_last) reducer(phase).begin_last_pass(static_cast<int>(phase));
  torch::autograd::backward({per_sample}, {slopes});
}

}  // namespace galette
