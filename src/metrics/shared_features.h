// SPDX-License-Identifier: Apache-2.0
// Features of many images, of which every rank keeps its own part: no rank needs memory for all.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/ATen.h>

#include "parallel/communicator.h"

namespace galette {

class SharedFeatures {
 public:
  /// `own` [n, d] float32: this rank's rows, which follow those of lower ranks. `comm` must outlive
  /// this. Collective.
  SharedFeatures(at::Tensor own, Communicator& comm);

  /// Of all ranks.
  int64_t rows() const { return first_.back(); }
  int64_t width() const { return own_.size(1); }
  const at::Tensor& own() const { return own_; }
  /// Number of own()'s first row among all.
  int64_t first() const { return first_[static_cast<size_t>(comm_->rank())]; }
  Communicator& comm() const { return *comm_; }

  /// Some rows of any ranks, on all: [numbers.size(), d]. Collective.
  at::Tensor pick(const std::vector<int64_t>& numbers) const;

  /// Calls `use` on all ranks with all rows in their order, at most kBlock at a time; `first` is
  /// the number of a block's first row. Collective.
  void for_each_block(const std::function<void(int64_t first, const at::Tensor& rows)>& use) const;

  static constexpr int64_t kBlock = 1024;

 private:
  at::Tensor own_;
  Communicator* comm_;
  std::vector<int64_t> first_;  ///< of each rank, and the number of all rows
};

}  // namespace galette
