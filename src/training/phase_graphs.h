// SPDX-License-Identifier: Apache-2.0
// Runs the part of a phase between the host's draws and the sum over the ranks: forward and
// backward passes. On GPUs it may be recorded once, as a CUDA graph, and repeated: some thousand
// launches become one.
//
// A phase's first run warms up what LibTorch tries out and allocates. In the second it is recorded,
// and this run and the next are done both ways: where the results differ, or recording fails, that
// phase goes on without. A number of the host's that a recording has caught shows in the next run.
// Recordings keep their memory; when it lacks elsewhere, they are given up.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "base/parameter_arena.h"
#include "parallel/device_queue.h"
#include "training/phase_inputs.h"

namespace galette {

/// Sums over the samples of this rank that running averages are updated with.
struct BatchSums {
  at::Tensor w;                ///< float64 [w_dim]
  InputMagnitudes magnitudes;  ///< rows for the layers that keep an average
};

/// What to do where a phase cannot be recorded.
enum class Graphs {
  off,       ///< nothing is recorded
  possible,  ///< go on without, with a warning
  required,  ///< throw std::runtime_error
};

class PhaseGraphs {
 public:
  /// Runs of a phase before it is repeated from a recording alone.
  static constexpr int64_t kFirstRuns = 3;

  /// Adds gradients to an arena, and what else it does to tensors that stay where they are. Depends
  /// on the draws and on tensors alone.
  using Compute = std::function<BatchSums(const PhaseDraws&)>;
  /// What a computation changes.
  struct Effects {
    ParameterArena& arena;             ///< its gradients are
    std::vector<at::Tensor> in_place;  ///< changed by adding to them, say
  };

  PhaseGraphs(Graphs graphs, Recorder recorder) : graphs_(graphs), recorder_(std::move(recorder)) {}

  /// compute(draws), in one way or another; the arena's gradients are zero before.
  BatchSums run(Phase phase, const PhaseDraws& draws, const Effects& effects,
                const Compute& compute);

  /// Whether a phase is repeated from a recording that proved right.
  bool is_proven(Phase phase) const;

 private:
  struct Recording {
    PhaseDraws draws;    ///< where the work reads them
    BatchSums sums;      ///< where it leaves them
    at::Tensor reached;  ///< by its gradients, as the arena tells
    std::unique_ptr<RecordedWork> work;
  };
  struct Entry {
    int64_t runs = 0;
    int64_t proofs = 0;
    bool is_given_up = false;
    std::optional<Recording> recording;
  };

  /// Without a recording; gives all of them up when memory lacks.
  BatchSums run_plainly(const PhaseDraws& draws, const Effects& effects, const Compute& compute);
  BatchSums run_both_ways(Phase phase, const PhaseDraws& draws, const Effects& effects,
                          const Compute& compute);
  static void record(Recording& recording, const Effects& effects, const Compute& compute);
  static BatchSums replay(const Recording& recording, const Effects& effects);
  void give_up(Phase phase, const std::string& reason);

  Graphs graphs_;
  Recorder recorder_;
  std::map<Phase, Entry> entries_;
};

}  // namespace galette
