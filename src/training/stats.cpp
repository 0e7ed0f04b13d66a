// SPDX-License-Identifier: Apache-2.0
#include "training/stats.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/tally.h"

namespace galette {
namespace {

constexpr int64_t kMoments = 3;

int64_t row_of(std::string_view name) {
  const auto& names = Statistics::names();
  const auto at = std::find(names.begin(), names.end(), name);
  TORCH_CHECK(at != names.end(), "statistics: unknown name ", std::string(name));
  return at - names.begin();
}

struct Moments {
  double count, sum, squares;
  double mean() const { return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN(); }
  double std() const {
    if (count == 1) return 0;
    // NaN (no values, or a NaN among them) must pass the maximum unharmed.
    const double variance = squares / count - mean() * mean();
    return variance < 0 ? 0 : std::sqrt(variance);
  }
};

Moments moments_of(const at::Tensor& table, int64_t row) {
  const double* m = table.const_data_ptr<double>() + row * kMoments;
  return {m[0], m[1], m[2]};
}

}  // namespace

const std::vector<std::string_view>& Statistics::names() {
  static const std::vector<std::string_view> list{"Loss/scores/fake",
                                                  "Loss/signs/fake",
                                                  "Loss/G/loss",
                                                  "Loss/pl_penalty",
                                                  "Loss/G/reg",
                                                  "Loss/scores/real",
                                                  "Loss/signs/real",
                                                  "Loss/D/loss",
                                                  "Loss/r1_penalty",
                                                  "Loss/D/reg",
                                                  "Health/nonfinite_gradients",
                                                  "Progress/tick",
                                                  "Progress/kimg",
                                                  "Progress/augment",
                                                  "Timing/total_sec",
                                                  "Timing/sec_per_tick",
                                                  "Timing/sec_per_kimg",
                                                  "Timing/maintenance_sec",
                                                  "Timing/checkpoint_stall_ms",
                                                  "Timing/total_hours",
                                                  "Timing/total_days",
                                                  "Timing/Gmain",
                                                  "Timing/Greg",
                                                  "Timing/Dmain",
                                                  "Timing/Dreg",
                                                  "Timing/Gmain_comm_exposed_ms",
                                                  "Timing/Greg_comm_exposed_ms",
                                                  "Timing/Dmain_comm_exposed_ms",
                                                  "Timing/Dreg_comm_exposed_ms",
                                                  "Timing/Gmain_comm_hidden_ms",
                                                  "Timing/Greg_comm_hidden_ms",
                                                  "Timing/Dmain_comm_hidden_ms",
                                                  "Timing/Dreg_comm_hidden_ms",
                                                  "Resources/cpu_mem_gb",
                                                  "Resources/peak_gpu_mem_gb",
                                                  "Resources/peak_gpu_mem_reserved_gb"};
  return list;
}

Statistics::Statistics()
    : pending_(at::zeros({static_cast<int64_t>(names().size()), kMoments}, at::kDouble)),
      collected_(at::zeros_like(pending_)) {}

void Statistics::report(std::string_view name, const at::Tensor& values) {
  add_tally(Tally::moments, values.detach(), sums_on(values.device())[row_of(name)]);
}

void Statistics::report_scores(ScoresOf of, const at::Tensor& logits) {
  // The row of the signs is the next one.
  const int64_t row = row_of(of == ScoresOf::fake ? "Loss/scores/fake" : "Loss/scores/real");
  add_tally(Tally::scores, logits.detach(), sums_on(logits.device()).narrow(0, row, 2));
}

/// The device's sums stay there until somebody wants them.
at::Tensor Statistics::sums_on(const at::Device& device) {
  if (device.is_cpu()) return pending_;
  if (!on_device_.defined())
    on_device_ = at::zeros_like(pending_, pending_.options().device(device));
  return on_device_;
}

at::Tensor Statistics::pending() const {
  return on_device_.defined() ? pending_ + on_device_.to(at::kCPU) : pending_;
}

void Statistics::report(std::string_view name, double value) {
  double* m = pending_.data_ptr<double>() + row_of(name) * kMoments;
  m[0] += 1;
  m[1] += value;
  m[2] += value * value;
}

void Statistics::collect(Communicator& comm) {
  const at::Tensor sums = pending().clone();
  comm.all_reduce(sums, ReduceOp::sum);
  const at::Tensor is_new = sums.narrow(1, 0, 1) > 0;
  collected_ = at::where(is_new, sums, collected_);
  pending_.zero_();
  if (on_device_.defined()) on_device_.zero_();
}

double Statistics::num(std::string_view name) const {
  return moments_of(collected_, row_of(name)).count;
}

double Statistics::mean(std::string_view name) const {
  return moments_of(collected_, row_of(name)).mean();
}

double Statistics::std(std::string_view name) const {
  return moments_of(collected_, row_of(name)).std();
}

nlohmann::ordered_json Statistics::to_json() const {
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (size_t row = 0; row < names().size(); ++row) {
    const Moments m = moments_of(collected_, static_cast<int64_t>(row));
    all[std::string(names()[row])] = {
        {"num", static_cast<int64_t>(m.count)}, {"mean", m.mean()}, {"std", m.std()}};
  }
  return all;
}

at::Tensor Statistics::save(Communicator& comm) const {
  at::Tensor state = at::empty({comm.size() + 1, pending_.size(0), kMoments}, at::kDouble);
  comm.all_gather(pending(), state.narrow(0, 0, comm.size()));
  state[comm.size()].copy_(collected_);
  return state;
}

void Statistics::load(const at::Tensor& state, const Communicator& comm) {
  TORCH_CHECK(state.dim() == 3 && state.size(0) >= 2 && state.size(1) == pending_.size(0) &&
                  state.size(2) == kMoments && state.scalar_type() == at::kDouble,
              "statistics: cannot continue from a state of shape ", state.sizes());
  const int64_t ranks = state.size(0) - 1;
  collected_ = state[ranks].clone();
  on_device_.reset();
  if (ranks == comm.size()) {
    pending_ = state[comm.rank()].clone();
  } else if (comm.rank() == 0) {
    pending_ = state.narrow(0, 0, ranks).sum(0);
  } else {
    pending_ = at::zeros_like(pending_);
  }
}

}  // namespace galette
