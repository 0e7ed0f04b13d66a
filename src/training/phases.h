// SPDX-License-Identifier: Apache-2.0
// One iteration of training is a list of phases: Gmain, Greg (every 4th), Dmain, Dreg (every 16th).
// A phase draws its inputs, differentiates its loss micro-batch by micro-batch, sums the gradients
// over the ranks, and takes one optimiser step. All scales are per sample of the whole batch, so a
// phase does the same whatever the number of ranks and micro-batches:
//
//   gradient = interval / B * sum over samples g of d loss_g
#pragma once

#include <array>
#include <functional>
#include <string>

#include <ATen/ATen.h>

#include "parallel/communicator.h"
#include "training/batch_plan.h"
#include "training/draws.h"
#include "training/stats.h"
#include "training/train_state.h"

namespace galette {

inline constexpr std::array kPhases{Phase::g_main, Phase::g_reg, Phase::d_main, Phase::d_reg};
/// "Gmain", "Greg", "Dmain", "Dreg".
std::string phase_name(Phase phase);

/// What the losses of a run are made of.
struct LossConfig {
  double gamma = 0;  ///< weight of R1
  double path_length_weight = 2;
  LazyIntervals intervals;

  int64_t interval(Phase phase) const;
  /// Whether a phase runs in iteration t: all of them at t = 0.
  bool due(Phase phase, int64_t iteration) const { return iteration % interval(phase) == 0; }
};

/// The real images of one iteration on this rank, shared by its phases.
struct RealBatch {
  at::Tensor images;  ///< uint8 [local, C, R, R]
  at::Tensor labels;  ///< float [local, label_dim]
};

class PhaseRunner {
 public:
  /// `fake_labels` gives the labels [n, c_dim] of generated samples in a phase of an iteration.
  using FakeLabels = std::function<at::Tensor(Phase, int64_t, const std::vector<int64_t>&)>;

  PhaseRunner(TrainState& state, const LossConfig& config, const BatchPlan& plan,
              Communicator& comm, const Draws& draws, FakeLabels fake_labels, Statistics& stats);

  /// Runs one phase of iteration `state.iteration`; returns the number of non-finite gradients.
  int64_t run(Phase phase, const RealBatch& reals);

 private:
  void g_main(int64_t step);
  int64_t g_reg();
  void d_main(int64_t step, const RealBatch& reals, at::Tensor& w_sum);
  void d_reg(int64_t step, const RealBatch& reals);
  /// Sums gradients over the ranks and steps the optimiser of one network.
  int64_t reduce_and_step(Network& network, Adam& adam, double grad_scale);
  void update_w_avg(const at::Tensor& w_sum);

  at::Tensor latents(Phase phase, const std::vector<int64_t>& samples) const;
  at::Tensor fake_labels(Phase phase, const std::vector<int64_t>& samples) const;
  at::Tensor real_images(const RealBatch& reals, int64_t step) const;
  at::Tensor real_labels(const RealBatch& reals, int64_t step) const;
  at::Tensor lengths(const std::vector<int64_t>& samples, bool differentiable) const;
  /// Differentiates a sum over samples with the weight of this phase.
  void backward(Phase phase, const at::Tensor& per_sample_loss) const;

  TrainState& state_;
  LossConfig config_;
  BatchPlan plan_;
  Communicator& comm_;
  const Draws& draws_;
  FakeLabels fake_labels_;
  Statistics& stats_;
};

}  // namespace galette
