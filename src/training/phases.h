// SPDX-License-Identifier: Apache-2.0
// One iteration of training is a list of phases: Gmain, Greg (every 4th), Dmain, Dreg (every 16th).
// A phase draws its inputs, differentiates its loss micro-batch by micro-batch, sums the gradients
// over the ranks, and takes one optimiser step. All scales are per sample of the whole batch, so a
// phase does the same whatever the number of ranks and micro-batches:
//
//   gradient = interval / B * sum over samples g of d loss_g
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "parallel/communicator.h"
#include "parallel/device_queue.h"
#include "parallel/gradient_reducer.h"
#include "training/batch_plan.h"
#include "training/phase_graphs.h"
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

/// A phase whose work is queued on the device, and perhaps not done yet.
struct QueuedPhase {
  Phase phase;
  int64_t step;  ///< of the reducer
  std::unique_ptr<HostCopy> non_finite;
  std::unique_ptr<DeviceTimer> time;
};

/// Whether gradients travel during backward passes: where that pays, or always, for tests.
enum class Overlap { where_it_pays, always };

/// How phases are run.
struct PhaseExecution {
  Overlap overlap = Overlap::where_it_pays;  ///< never together with graphs
  Graphs graphs = Graphs::off;
  Recorder recorder = {};  ///< for graphs
};

class PhaseRunner {
 public:
  PhaseRunner(TrainState& state, const LossConfig& config, const BatchPlan& plan,
              Communicator& comm, PhaseInputs inputs, Statistics& stats,
              PhaseExecution execution = {});

  /// Queues one phase of iteration `state.iteration`, and waits for no device.
  QueuedPhase run(Phase phase, const RealBatch& reals);
  /// What came out of a phase: waits until it is done, and reports how long it took. Phases are
  /// asked for in the order in which they were run. Collective.
  GradientHealth finish(const QueuedPhase& queued);
  const PhaseGraphs& graphs() const { return graphs_; }

 private:
  /// Forward and backward passes of all micro-batches. Depends on tensors alone: it can be
  /// recorded.
  BatchSums compute(Phase phase, const PhaseDraws& draws);
  /// Whether compute() of a phase may be recorded on this run's ranks.
  bool is_local(Phase phase) const;
  void g_main(const PhaseDraws& draws, const MicroBatch& micro, bool is_last);
  void g_reg(const PhaseDraws& draws);
  void d_main(const PhaseDraws& draws, const MicroBatch& micro, bool is_last, BatchSums& sums);
  void d_reg(const PhaseDraws& draws, const MicroBatch& micro, bool is_last);
  PhaseGraphs::Effects effects(Phase phase);
  /// With what the gradients that compute() leaves are multiplied.
  double grad_scale(Phase phase) const;
  /// Sums gradients over the ranks and steps the optimiser of one network. Reports how long
  /// communication took. Returns how many values were not finite: int64 [] on the device.
  at::Tensor reduce_and_step(Phase phase);
  BatchSums empty_sums() const;
  void update_averages(const BatchSums& sums);
  at::Tensor lengths(const MicroBatch& micro, bool differentiable) const;
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
  PhaseGraphs graphs_;
};

}  // namespace galette
