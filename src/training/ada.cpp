// SPDX-License-Identifier: Apache-2.0
#include "training/ada.h"

#include <algorithm>

#include "kernels/tally.h"

namespace galette {
namespace {

constexpr int64_t kCounts = 4;

/// The counts of all ranks, in whole numbers: their sum does not depend on any order.
at::Tensor over_ranks(const at::Tensor& seen, Communicator& comm) {
  at::Tensor sum = seen.to(at::kCPU).clone();
  comm.all_reduce(sum, ReduceOp::sum);
  return sum;
}

}  // namespace

AdaController::AdaController(const AdaConfig& config)
    : config_(config),
      p_(config.mode == AugmentMode::none ? 0 : config.p),
      seen_(at::zeros({kCounts}, at::kLong)) {}

void AdaController::observe(const at::Tensor& logits) {
  if (config_.mode != AugmentMode::ada) return;
  seen_ = seen_.to(logits.device());
  add_tally(Tally::signs, logits.detach(), seen_);
}

void AdaController::update(int64_t iteration, int64_t batch, Communicator& comm) {
  if (config_.mode != AugmentMode::ada || iteration % config_.interval != 0) return;
  const at::Tensor seen = over_ranks(seen_, comm);
  const auto* const counts = seen.const_data_ptr<int64_t>();
  seen_.zero_();
  // A discriminator that is lost tells nothing, and neither does one that saw nothing.
  if (counts[3] > 0 || counts[2] == 0) return;
  const double mean = static_cast<double>(counts[0] - counts[1]) / static_cast<double>(counts[2]);
  const double step = static_cast<double>(batch * config_.interval) / (1000 * config_.kimg);
  const double direction = mean > config_.target ? 1 : (mean < config_.target ? -1 : 0);
  p_ = std::max(0.0, p_ + direction * step);
}

nlohmann::json AdaController::save(Communicator& comm) const {
  const at::Tensor seen = over_ranks(seen_, comm);
  const auto* const counts = seen.const_data_ptr<int64_t>();
  return {{"p", p_}, {"seen", std::vector<int64_t>(counts, counts + kCounts)}};
}

void AdaController::load(const nlohmann::json& state, const Communicator& comm) {
  const auto counts = state.at("seen").get<std::vector<int64_t>>();
  TORCH_CHECK(static_cast<int64_t>(counts.size()) == kCounts,
              "the state of the augmentation controller has ", counts.size(), " counts, expected ",
              kCounts);
  p_ = state.at("p").get<double>();
  seen_ = at::tensor(counts, at::kLong);
  // The totals are carried on by one rank.
  if (comm.rank() != 0) seen_.zero_();
}

}  // namespace galette
