// SPDX-License-Identifier: Apache-2.0
#include "base/gradient_gatherer.h"

#include <utility>

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/engine.h>

namespace galette {
namespace {

/// Enough that launching an operation does not count beside it.
constexpr int64_t kMostBytes = 4'000'000;

}  // namespace

void GradientGatherer::take(size_t parameter, int64_t offset, const at::Tensor& gradient) {
  if (waiting_.empty()) {
    torch::autograd::Engine::get_default_engine().queue_callback([this] { add_what_waits(); });
  }
  waiting_.push_back({gradient.detach(), offset});
  parameters_.push_back(parameter);
  bytes_ += static_cast<int64_t>(gradient.nbytes());
  if (bytes_ >= kMostBytes || waiting_.size() == kPiecesOfALaunch) add_what_waits();
}

void GradientGatherer::discard() {
  waiting_.clear();
  parameters_.clear();
  bytes_ = 0;
}

void GradientGatherer::add_what_waits() {
  const at::NoGradGuard no_grad;
  add_to_range(flat_, waiting_);
  const std::vector<size_t> added = std::exchange(parameters_, {});
  discard();
  for (const size_t parameter : added) listener_(parameter);
}

}  // namespace galette
