// SPDX-License-Identifier: Apache-2.0
#include "training/phase_inputs.h"

#include <utility>

#include "kernels/upload.h"
#include "training/blur.h"

namespace galette {
namespace {

/// Those that take part in path-length regularisation, by their number in the whole batch.
std::vector<int64_t> path_samples(const std::vector<int64_t>& samples) {
  std::vector<int64_t> even;
  for (const int64_t g : samples) {
    if (g % 2 == 0) even.push_back(g);
  }
  return even;
}

}  // namespace

int64_t path_sample_count(const BatchPlan& plan) {
  return (plan.batch + 1) / 2;
}

std::vector<at::Tensor*> PhaseDraws::all() {
  std::vector<at::Tensor*> tensors;
  for (MicroBatch& one : micro) {
    tensors.insert(tensors.end(),
                   {&one.labels, &one.style_cuts, &one.real_images, &one.real_labels});
    for (AugmentTensors* augment : {&one.of_generated, &one.of_real}) {
      const std::vector<at::Tensor*> more = augment->all();
      tensors.insert(tensors.end(), more.begin(), more.end());
    }
  }
  return tensors;
}

PhaseInputs::PhaseInputs(const TrainState& state, const LossConfig& config, Draws& draws,
                         FakeLabels fake_labels, const AugmentPipe* pipe)
    : state_(state),
      config_(config),
      draws_(draws),
      fake_labels_(std::move(fake_labels)),
      pipe_(pipe) {}

PhaseDraws PhaseInputs::draw(Phase phase, const BatchPlan& plan, const RealBatch& reals) const {
  const bool generates = phase != Phase::d_reg,
             judges_generated = generates && phase != Phase::g_reg;
  const bool judges_real = phase == Phase::d_main || phase == Phase::d_reg;
  const at::TensorOptions options = state_.g->arena().options();
  draws_.begin_iteration(state_.iteration);
  PhaseDraws draws;
  draws.blur_sigma = blur_sigma(config_.blur_start, config_.blur_fade_kimg, state_.images);
  for (int64_t step = 0; step < plan.steps(); ++step) {
    MicroBatch& micro = draws.micro.emplace_back();
    micro.samples = plan.samples(step);
    if (phase == Phase::g_reg) micro.samples = path_samples(micro.samples);
    if (micro.samples.empty()) continue;
    if (generates) {
      micro.labels = upload(fake_labels_(phase, micro.samples), options);
      if (config_.style_mixing > 0) {
        micro.style_cuts = upload(
            draws_.style_cuts(phase, micro.samples, state_.g->num_ws(), config_.style_mixing),
            options.dtype(at::kLong));
      }
    }
    if (judges_generated)
      micro.of_generated = augmentation(phase, micro.samples, Judged::generated);
    if (judges_real) {
      micro.of_real = augmentation(phase, micro.samples, Judged::real);
      micro.real_images = reals.images.narrow(0, step * plan.micro, plan.micro);
      micro.real_labels = reals.labels.narrow(0, step * plan.micro, plan.micro).to(options);
    }
  }
  return draws;
}

AugmentTensors PhaseInputs::augmentation(Phase phase, const Samples& samples, Judged judged) const {
  if (pipe_ == nullptr) return {};
  const SampledAugmentSource source(draws_.rng(), phase, draws_.iteration(), judged == Judged::real,
                                    samples);
  return pipe_->to_device(pipe_->draw(source, static_cast<int64_t>(samples.size()), state_.ada.p()),
                          state_.d->arena().options());
}

at::Tensor PhaseInputs::latents(Phase phase, const MicroBatch& micro) const {
  return draws_.latents(phase, micro.samples, state_.g->z_dim());
}

at::Tensor PhaseInputs::all_layers(Phase phase, const MicroBatch& micro,
                                   const at::Tensor& w) const {
  const Generator& g = *state_.g;
  at::Tensor ws = g.broadcast(w);
  if (!micro.style_cuts.defined()) return ws;
  const at::Tensor z = draws_.second_latents(phase, micro.samples, g.z_dim());
  return mix_styles(ws, g.broadcast(g.map(z, micro.labels)), micro.style_cuts);
}

SynthesisOptions PhaseInputs::synthesis(Phase phase, const MicroBatch& micro) const {
  SynthesisOptions options;
  options.noise_mode = NoiseMode::random;
  options.random_noise = [this, phase, samples = micro.samples](int64_t layer, int64_t size) {
    return draws_.layer_noise(phase, samples, layer, size);
  };
  return options;
}

at::Tensor PhaseInputs::path_noise(const MicroBatch& micro) const {
  const Generator& g = *state_.g;
  return draws_.path_noise(micro.samples, g.img_channels(), g.img_resolution());
}

Critic PhaseInputs::critic(const PhaseDraws& draws, const MicroBatch& micro, Judged judged) const {
  const AugmentTensors& augment = judged == Judged::real ? micro.of_real : micro.of_generated;
  return Critic(*state_.d,
                [pipe = pipe_, augment, sigma = draws.blur_sigma](const at::Tensor& images) {
                  const at::Tensor blurred = blur_images(images, sigma);
                  return pipe == nullptr ? blurred : pipe->apply(blurred, augment);
                });
}

at::Tensor PhaseInputs::real_images(const MicroBatch& micro) const {
  return micro.real_images.to(state_.d->arena().options()).div_(127.5).sub_(1);
}

}  // namespace galette
