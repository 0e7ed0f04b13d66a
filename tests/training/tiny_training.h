// SPDX-License-Identifier: Apache-2.0
// A training of tiny networks in float64, by its phases alone: without files and ticks.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <mpi.h>

#include "parallel/gpu.h"
#include "parallel/mpi_communicator.h"
#include "training/consistency.h"
#include "training/ema.h"
#include "training/phases.h"
#include "training/train_networks.h"

namespace galette::testing {

inline constexpr int64_t kBatch = 8;
inline constexpr int64_t kLabels = 3;
inline constexpr int64_t kResolution = 16;

inline TrainOptions tiny(const std::string& cfg, int64_t ranks, int64_t micro, int gpu) {
  TrainOptions o;
  o.cfg = cfg;
  o.gpu = gpu;
  o.batch = kBatch;
  o.gpus = ranks;
  o.batch_gpu = micro;
  o.mbstd_group = 2;
  o.gamma = 1;
  o.glr = o.dlr = 0.002;
  o.map_depth = 1;
  o.cbase = 64;
  o.cmax = 8;
  o.precision = "fp64";  // what remains are sums in another order
  o.aug = "ada";
  return o;
}

/// Labels of generated samples: a function of the sample.
inline at::Tensor one_hot(const std::vector<int64_t>& samples) {
  at::Tensor labels = at::zeros({static_cast<int64_t>(samples.size()), kLabels});
  for (size_t i = 0; i < samples.size(); ++i) {
    labels[static_cast<int64_t>(i)][samples[i] % kLabels] = 1;
  }
  return labels;
}

/// The reals of one rank, cut out of the same batch.
inline RealBatch reals_of(const BatchPlan& plan) {
  const at::Tensor images =
      (at::arange(kBatch * 3 * kResolution * kResolution, at::kLong).square() % 251)
          .to(at::kByte)
          .view({kBatch, 3, kResolution, kResolution});
  return {images.narrow(0, plan.rank * plan.local(), plan.local()), one_hot(plan.local_samples())};
}

class Training {
 public:
  Training(const std::string& cfg, MPI_Comm comm, int64_t micro, const OptimizerShare& share = {},
           PhaseExecution execution = {}, int gpu = -1)
      : comm_(comm),
        gpu_comm_(gpu < 0 ? nullptr : make_gpu_communicator(comm_, gpu)),
        tensors_(gpu_comm_ ? *gpu_comm_ : comm_),
        options_(tiny(cfg, comm_.size(), micro, gpu)),
        draws_(SampleRng(7), tensor_options(options_)),
        plan_{kBatch, comm_.size(), comm_.rank(), micro},
        state_(make_train_state(options_, kShape, share)),
        losses_(loss_config(options_)),
        pipe_(make_augment_pipe(options_, kShape)),
        phases_(state_, losses_, plan_, tensors_,
                PhaseInputs(
                    state_, losses_, draws_,
                    [](Phase, const std::vector<int64_t>& s) { return one_hot(s); }, &*pipe_),
                statistics_, std::move(execution)) {
    // Strong enough to matter in two iterations.
    losses_.blur_start = losses_.blur_start > 0 ? 2 : 0;
    state_.ada.load({{"p", 0.5}, {"seen", {0, 0, 0, 0}}}, comm_);
  }

  void iterate() {
    for (const Phase phase : kPhases) {
      if (!losses_.due(phase, state_.iteration)) continue;
      run(phase, 0);
    }
    update_ema(*state_.g_ema, *state_.g, 0.5);
    state_.images += kBatch;
    ++state_.iteration;
    state_.ada.update(state_.iteration, kBatch, tensors_);
  }

  /// All phases, due or not.
  void run_all_phases() {
    for (const Phase phase : kPhases) run(phase, 0);
    state_.images += kBatch;
    ++state_.iteration;
    state_.ada.update(state_.iteration, kBatch, tensors_);
  }

  TrainState& state() { return state_; }
  const PhaseGraphs& graphs() const { return phases_.graphs(); }

  bool is_equal_everywhere() { return inconsistent_array(state_, comm_).empty(); }

  /// One phase, with `added` to the labels of the reals.
  GradientHealth run(Phase phase, double added) {
    RealBatch reals = reals_of(plan_);
    reals.labels += added;
    reals.images = reals.images.to(state_.d->arena().options().device());
    reals.labels = reals.labels.to(reals.images.device());
    return phases_.finish(phases_.run(phase, reals));
  }

  /// Mean time that communication held up a phase, or went on behind its backward pass.
  double milliseconds(Phase phase, const char* kind) {
    return mean(fmt::format("Timing/{}_comm_{}_ms", phase_name(phase), kind));
  }
  /// Of what was reported since the last call.
  double mean(const std::string& name) {
    statistics_.collect(comm_);
    return statistics_.mean(name);
  }

  /// Everything that the iterations moved. Collective.
  std::vector<at::Tensor> values() {
    std::vector<at::Tensor> all{
        at::tensor({state_.path_length_mean.value(), state_.ada.p()}, at::kDouble)};
    for (const auto* network : {static_cast<const Network*>(state_.g.get()),
                                static_cast<const Network*>(state_.g_ema.get()),
                                static_cast<const Network*>(state_.d.get())}) {
      all.push_back(network->arena().flat_parameters().detach());
      all.push_back(network->arena().flat_buffers());
    }
    for (const Adam* adam : {&*state_.g_adam, &*state_.d_adam}) {
      const int64_t size = adam->plan().size();
      all.push_back(at::empty({size}, adam->second_moment().options()));
      adam->gather_second_moment({0, size}, all.back(), tensors_);
    }
    return all;
  }

 private:
  static constexpr ImageShape kShape{kResolution, 3, kLabels};
  MpiCommunicator comm_;
  std::unique_ptr<Communicator> gpu_comm_;
  Communicator& tensors_;
  TrainOptions options_;
  Draws draws_;
  BatchPlan plan_;
  TrainState state_;
  LossConfig losses_;
  std::optional<AugmentPipe> pipe_;
  Statistics statistics_;
  PhaseRunner phases_;
};

}  // namespace galette::testing
