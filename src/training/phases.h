// SPDX-License-Identifier: Apache-2.0
// One iteration of training is a list of phases: Gmain, Greg (every 4th), Dmain, Dreg (every 16th).
// A phase draws its inputs, differentiates its loss micro-batch by micro-batch, sums the gradients
// over the ranks, and takes one optimiser step. All scales are per sample of the whole batch, so a
// phase does the same whatever the number of ranks and micro-batches:
//
//   gradient = interval / B * sum over samples g of d loss_g
#pragma once

#include <array>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "parallel/communicator.h"
#include "parallel/gradient_reducer.h"
#include "training/batch_plan.h"
#include "training/phase_inputs.h"
#include "training/stats.h"
#include "training/train_state.h"

namespace galette {

inline constexpr std::array kPhases{Phase::g_main, Phase::g_reg, Phase::d_main, Phase::d_reg};
/// Gradients of a phase that were not finite, over all ranks.
struct GradientHealth {
  int64_t non_finite = 0;  ///< values, all replaced before the optimiser's step
  std::string where;       ///< rank, phase and first tensor
};

/// Whether gradients travel during backward passes: where that pays, or always, for tests.
enum class Overlap { where_it_pays, always };

class PhaseRunner {
 public:
  PhaseRunner(TrainState& state, const LossConfig& config, const BatchPlan& plan,
              Communicator& comm, PhaseInputs inputs, Statistics& stats,
              Overlap overlap = Overlap::where_it_pays);

  /// Runs one phase of iteration `state.iteration`.
  GradientHealth run(Phase phase, const RealBatch& reals);

 private:
  /// Sums over the samples of the whole batch that running averages are updated with.
  struct BatchSums {
    at::Tensor w;                ///< float64 [w_dim]
    InputMagnitudes magnitudes;  ///< rows for the layers that keep an average
  };

  GradientHealth run_now(Phase phase, const RealBatch& reals);
  void g_main(int64_t step);
  GradientHealth g_reg();
  void d_main(int64_t step, const RealBatch& reals, BatchSums& sums);
  void d_reg(int64_t step, const RealBatch& reals);
  /// Sums gradients over the ranks and steps the optimiser of one network. Reports how long
  /// communication took.
  GradientHealth reduce_and_step(Phase phase, double grad_scale);
  BatchSums empty_sums() const;
  void update_averages(const BatchSums& sums);
  at::Tensor lengths(const std::vector<int64_t>& samples, bool differentiable) const;
  /// With what a sample's loss counts in a phase.
  double sample_weight(Phase phase) const;
  /// The derivatives of the loss of a phase, `factor` times the sum of these numbers.
  at::Tensor slopes(Phase phase, const at::Tensor& per_sample, double factor = 1) const;
  /// Differentiates a loss that depends on numbers of each sample with these slopes. With its last
  /// pass on this rank, gradients begin to travel.
  void backward(Phase phase, const at::Tensor& per_sample, const at::Tensor& slopes, bool is_last);
  GradientReducer& reducer(Phase phase);
  void report(Phase phase, const ReductionTime& time);

  TrainState& state_;
  LossConfig config_;
  BatchPlan plan_;
  Communicator& comm_;
  PhaseInputs inputs_;
  Statistics& stats_;
  GradientReducer g_reducer_, d_reducer_;
};

}  // namespace galette
