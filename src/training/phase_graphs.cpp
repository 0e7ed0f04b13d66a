// SPDX-License-Identifier: Apache-2.0
#include "training/phase_graphs.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "kernels/upload.h"
#include "training/blur.h"

namespace galette {
namespace {

constexpr int64_t kProofs = PhaseGraphs::kFirstRuns - 1;
// Convolutions that add in no fixed order differ by roundings, of 16 bits at worst; work that reads
// what it should not differs by as much as there is.
constexpr double kTolerance = 0.02;

/// The same in memory of its own.
PhaseDraws copy_of(const PhaseDraws& draws) {
  PhaseDraws copy = draws;
  for (at::Tensor* tensor : copy.all()) {
    if (tensor->defined()) *tensor = tensor->clone();
  }
  return copy;
}

/// Takes the contents of the tensors of `fresh`; false, and nothing is done, when these differ in
/// more than that.
bool take(PhaseDraws& held, PhaseDraws fresh) {
  const std::vector<at::Tensor*> to = held.all(), from = fresh.all();
  const auto is_alike = [](const at::Tensor* a, const at::Tensor* b) {
    return a->defined() == b->defined() && (!a->defined() || a->sizes() == b->sizes());
  };
  if (!std::equal(to.begin(), to.end(), from.begin(), from.end(), is_alike)) return false;
  for (size_t i = 0; i < to.size(); ++i) {
    if (to[i]->defined()) to[i]->copy_(*from[i], /*non_blocking=*/true);
  }
  return true;
}

/// All that a computation leaves behind.
std::vector<at::Tensor> results(const PhaseGraphs::Effects& effects, const BatchSums& sums) {
  std::vector<at::Tensor> all{effects.arena.flat_gradients()};
  all.insert(all.end(), effects.in_place.begin(), effects.in_place.end());
  for (const at::Tensor& sum : {sums.w, sums.magnitudes.sums})
    if (sum.defined()) all.push_back(sum);
  return all;
}

std::vector<at::Tensor> clones(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& tensor : tensors) copies.push_back(tensor.clone());
  return copies;
}

void put_back(const std::vector<at::Tensor>& to, const std::vector<at::Tensor>& from) {
  for (size_t i = 0; i < to.size(); ++i) to[i].copy_(from[i]);
}

/// The norm of a - b over that of b, the largest over the pairs. Waits for the device.
double difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double norm = b[i].to(at::kDouble).norm().item<double>();
    const double error = (a[i].to(at::kDouble) - b[i].to(at::kDouble)).norm().item<double>();
    const double relative = norm > 0 ? error / norm : error;
    // Not by std::max, which a NaN passes unseen.
    if (!(relative <= largest)) largest = relative;
  }
  return largest;
}

}  // namespace

BatchSums PhaseGraphs::run(Phase phase, const PhaseDraws& draws, const Effects& effects,
                           const Compute& compute) {
  if (graphs_ == Graphs::off) return compute(draws);
  // A filter of the host's that gets shorter from iteration to iteration cannot be repeated.
  if (blurs(draws.blur_sigma)) return run_plainly(draws, effects, compute);
  Entry& entry = entries_[phase];
  const bool is_warm = entry.runs++ > 0;
  const bool fits = !entry.recording || take(entry.recording->draws, draws);
  if (!is_warm || entry.is_given_up || !fits) return run_plainly(draws, effects, compute);
  if (entry.proofs < kProofs) return run_both_ways(phase, draws, effects, compute);
  return replay(*entry.recording, effects);
}

bool PhaseGraphs::is_proven(Phase phase) const {
  const auto entry = entries_.find(phase);
  return entry != entries_.end() && entry->second.proofs == kProofs && !entry->second.is_given_up;
}

BatchSums PhaseGraphs::run_plainly(const PhaseDraws& draws, const Effects& effects,
                                   const Compute& compute) {
  const std::vector<at::Tensor> before = clones(effects.in_place);
  try {
    return compute(draws);
  } catch (const c10::OutOfMemoryError&) {
    if (std::none_of(entries_.begin(), entries_.end(),
                     [](const auto& entry) { return entry.second.recording.has_value(); }))
      throw;
  }
  for (const auto& [phase, entry] : entries_) give_up(phase, "memory is short");
  put_back(effects.in_place, before);
  effects.arena.clear_gradients();
  return compute(draws);
}

BatchSums PhaseGraphs::replay(const Recording& recording, const Effects& effects) {
  recording.work->replay();
  effects.arena.reached().copy_(recording.reached);
  return recording.sums;
}

void PhaseGraphs::record(Recording& recording, const Effects& effects, const Compute& compute) {
  const NoUploads no_uploads;
  recording.work->record([&recording, compute] { recording.sums = compute(recording.draws); });
  recording.reached = effects.arena.reached().clone();
}

/// Without the recording first, which then finds everything as it was before. A recording that
/// there is has the draws already.
BatchSums PhaseGraphs::run_both_ways(Phase phase, const PhaseDraws& draws, const Effects& effects,
                                     const Compute& compute) {
  const std::vector<at::Tensor> before = clones(effects.in_place);
  BatchSums sums = run_plainly(draws, effects, compute);
  const std::vector<at::Tensor> live = results(effects, sums), expected = clones(live);
  const at::Tensor reached = effects.arena.reached().clone();
  Entry& entry = entries_[phase];
  // Bad gradients prove nothing.
  if (entry.is_given_up || !std::isfinite(expected[0].sum().item<double>())) return sums;
  try {
    effects.arena.clear_gradients();
    if (!entry.recording) {
      entry.recording.emplace(Recording{copy_of(draws), {}, {}, recorder_()});
      record(*entry.recording, effects, compute);
    }
    put_back(effects.in_place, before);
    effects.arena.clear_gradients();
    const BatchSums again = replay(*entry.recording, effects);
    const double error = difference(results(effects, again), expected);
    if (error <= kTolerance) {
      if (++entry.proofs == kProofs)
        log::info("{} is repeated as a CUDA graph from now on.", phase_name(phase));
      return again;
    }
    give_up(phase, fmt::format("its results differ by {:.2g} of their norm", error));
  } catch (const c10::Error& error) {
    give_up(phase, error.what_without_backtrace());
  }
  put_back(live, expected);
  effects.arena.reached().copy_(reached);
  return sums;
}

void PhaseGraphs::give_up(Phase phase, const std::string& reason) {
  Entry& entry = entries_[phase];
  if (entry.is_given_up) return;
  const std::string text =
      fmt::format("{} cannot be repeated as a CUDA graph: {}", phase_name(phase), reason);
  if (graphs_ == Graphs::required)
    throw std::runtime_error(text + "; give --graphs=auto or --graphs=off");
  log::warning("{}; it goes on without", text);
  entry.is_given_up = true;
  entry.recording.reset();
}

}  // namespace galette
