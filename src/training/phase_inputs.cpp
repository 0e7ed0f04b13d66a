// SPDX-License-Identifier: Apache-2.0
#include "training/phase_inputs.h"

#include <utility>

#include "kernels/upload.h"
#include "training/blur.h"

namespace galette {

PhaseInputs::PhaseInputs(const TrainState& state, const LossConfig& config, const Draws& draws,
                         FakeLabels fake_labels, const AugmentPipe* pipe)
    : state_(state),
      config_(config),
      draws_(draws),
      fake_labels_(std::move(fake_labels)),
      pipe_(pipe) {}

at::Tensor PhaseInputs::latents(Phase phase, const Samples& samples) const {
  return draws_.latents(phase, state_.iteration, samples, state_.g->z_dim());
}

at::Tensor PhaseInputs::labels(Phase phase, const Samples& samples) const {
  return upload(fake_labels_(phase, state_.iteration, samples), state_.g->arena().options());
}

at::Tensor PhaseInputs::all_layers(Phase phase, const Samples& samples, const at::Tensor& w,
                                   const at::Tensor& c) const {
  const Generator& g = *state_.g;
  const at::Tensor ws = g.broadcast(w);
  if (config_.style_mixing == 0) return ws;
  const at::Tensor z = draws_.second_latents(phase, state_.iteration, samples, g.z_dim());
  const at::Tensor cuts =
      draws_.style_cuts(phase, state_.iteration, samples, g.num_ws(), config_.style_mixing);
  return mix_styles(ws, g.broadcast(g.map(z, c)), cuts);
}

SynthesisOptions PhaseInputs::synthesis(Phase phase, const Samples& samples) const {
  SynthesisOptions options;
  options.noise_mode = NoiseMode::random;
  options.random_noise = [this, phase, samples](int64_t layer, int64_t size) {
    return draws_.layer_noise(phase, state_.iteration, samples, layer, size);
  };
  return options;
}

at::Tensor PhaseInputs::path_noise(const Samples& samples) const {
  const Generator& g = *state_.g;
  return draws_.path_noise(state_.iteration, samples, g.img_channels(), g.img_resolution());
}

Critic PhaseInputs::critic(Phase phase, Judged judged, const Samples& samples) const {
  const double sigma = blur_sigma(config_.blur_start, config_.blur_fade_kimg, state_.images);
  AugmentParameters augment;
  if (pipe_ != nullptr) {
    const SampledAugmentSource source(draws_.rng(), phase, state_.iteration, judged == Judged::real,
                                      samples);
    augment = pipe_->draw(source, static_cast<int64_t>(samples.size()), state_.ada.p());
  }
  return Critic(*state_.d, [pipe = pipe_, augment, sigma](const at::Tensor& images) {
    const at::Tensor blurred = blur_images(images, sigma);
    return pipe == nullptr ? blurred : pipe->apply(blurred, augment);
  });
}

at::Tensor PhaseInputs::real_images(const RealBatch& reals, int64_t first, int64_t count) const {
  return reals.images.narrow(0, first, count).to(state_.d->arena().options()).div_(127.5).sub_(1);
}

at::Tensor PhaseInputs::real_labels(const RealBatch& reals, int64_t first, int64_t count) const {
  return reals.labels.narrow(0, first, count).to(state_.d->arena().options());
}

}  // namespace galette
