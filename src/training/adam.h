// SPDX-License-Identifier: Apache-2.0
// Adam on an arena (Kingma and Ba 2015) with beta1 = 0, as GAN training uses it: the first moment
// is the gradient itself and is not stored. A parameter that no loss reached in a phase keeps its
// value, moment and step count.
//
// The ranks may share the work: each then keeps the second moments of its own elements alone, and
// steps those; whoever steps exchanges the parameters.
#pragma once

#include <vector>

#include <ATen/ATen.h>

#include "base/parameter_arena.h"
#include "parallel/bucket_plan.h"
#include "parallel/communicator.h"

namespace galette {

/// Learning rate and decay as set by the user, for a loss whose regulariser runs every `interval`
/// iterations (1: none): both are corrected for the extra steps (Karras et al. 2020a, appendix B).
struct AdamConfig {
  double lr = 0.002;
  double beta2 = 0.99;
  double eps = 1e-8;

  static AdamConfig lazy(double lr, int64_t interval);
};

/// Among how many ranks the work of an optimiser is shared, and which of them this is.
struct OptimizerShare {
  int rank = 0;
  int ranks = 1;
  int64_t bucket_bytes = 0;  ///< of a BucketPlan; 0: as suits the device
};

class Adam {
 public:
  Adam(ParameterArena& arena, const AdamConfig& config, const OptimizerShare& share = {});

  /// One step with `grad_scale` times the accumulated gradients on every parameter that was
  /// reached, or on this rank's elements of them. Values that are not finite are replaced (NaN by
  /// 0, infinity by 1e5); returns how many, int64 [] on the device, for which it does not wait.
  at::Tensor step(double grad_scale);

  bool is_shared() const { return plan_.ranks() > 1; }
  /// For which pieces of the arena this rank needs the gradients summed.
  const BucketPlan& plan() const { return plan_; }
  /// Second moments, laid out like the parameters, or those of this rank's pieces one after the
  /// other.
  at::Tensor second_moment() const { return second_moment_; }
  /// Fills in `whole`, laid out like the parameters, at least the second moments of `range`, from
  /// the ranks that share them. `whole` may be on another device. Collective.
  void gather_second_moment(const FlatRange& range, at::Tensor whole, Communicator& comm) const;
  /// Takes this rank's elements from the second moments of all parameters.
  void take_second_moment(const at::Tensor& whole);
  /// Steps taken by each parameter, int64 [parameters] on the CPU.
  at::Tensor step_counts() const { return step_counts_; }

 private:
  /// Neighbouring parameters that take the same step.
  struct Run {
    FlatRange range;
    int64_t step;
  };
  /// Elements of this rank, and where their second moments begin.
  struct Part {
    FlatRange range;
    int64_t offset;
  };
  /// Counts a step of what was reached.
  std::vector<Run> begin_step();

  ParameterArena& arena_;
  AdamConfig config_;
  BucketPlan plan_;
  int rank_;
  std::vector<Part> parts_;
  at::Tensor second_moment_, step_counts_;
};

}  // namespace galette
