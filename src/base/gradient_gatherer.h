// SPDX-License-Identifier: Apache-2.0
// Adds the gradients that a backward pass makes one by one to flat memory, many in one operation.
// Until then they wait in the memory that they came in: a few megabytes more than the largest one.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "kernels/multi_tensor.h"

namespace galette {

class GradientGatherer {
 public:
  /// Told the number of a parameter when its gradient has been added.
  using Listener = std::function<void(size_t parameter)>;
  /// `flat` is one-dimensional and contiguous.
  GradientGatherer(at::Tensor flat, Listener listener)
      : flat_(std::move(flat)), listener_(std::move(listener)) {}
  GradientGatherer(const GradientGatherer&) = delete;
  GradientGatherer& operator=(const GradientGatherer&) = delete;

  /// Inside a backward pass: the gradient of a parameter, any strides, which is to be added from
  /// element `offset` on. It has been added when the pass ends.
  void take(size_t parameter, int64_t offset, const at::Tensor& gradient);
  /// Forgets what a pass that failed has left.
  void discard();

 private:
  void add_what_waits();

  at::Tensor flat_;
  Listener listener_;
  std::vector<RangeAddend> waiting_;
  std::vector<size_t> parameters_;  ///< of what is waiting
  int64_t bytes_ = 0;               ///< of what is waiting
};

}  // namespace galette
