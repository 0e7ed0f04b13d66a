// SPDX-License-Identifier: Apache-2.0
#include "metrics/shared_features.h"

#include <algorithm>
#include <utility>

namespace galette {

SharedFeatures::SharedFeatures(at::Tensor own, Communicator& comm)
    : own_(std::move(own)), comm_(&comm), first_{0} {
  at::Tensor counts = at::empty({comm.size()}, at::kLong);
  comm.all_gather(at::tensor({own_.size(0)}, at::kLong), counts);
  for (int rank = 0; rank < comm.size(); ++rank) {
    first_.push_back(first_.back() + counts[rank].item<int64_t>());
  }
}

at::Tensor SharedFeatures::pick(const std::vector<int64_t>& numbers) const {
  at::Tensor picked = at::zeros({static_cast<int64_t>(numbers.size()), width()}, at::kFloat);
  for (size_t i = 0; i < numbers.size(); ++i) {
    const int64_t row = numbers[i] - first();
    if (row >= 0 && row < own_.size(0)) picked[static_cast<int64_t>(i)].copy_(own_[row]);
  }
  // Each row is that of one rank, and zero elsewhere.
  comm_->all_reduce(picked, ReduceOp::sum);
  return picked;
}

void SharedFeatures::for_each_block(
    const std::function<void(int64_t first, const at::Tensor& rows)>& use) const {
  for (int rank = 0; rank < comm_->size(); ++rank) {
    const int64_t begin = first_[static_cast<size_t>(rank)];
    const int64_t end = first_[static_cast<size_t>(rank) + 1];
    for (int64_t row = begin; row < end; row += kBlock) {
      const int64_t count = std::min(kBlock, end - row);
      const at::Tensor block = rank == comm_->rank() ? own_.narrow(0, row - begin, count)
                                                     : at::empty({count, width()}, at::kFloat);
      comm_->broadcast(block, rank);
      use(row, block);
    }
  }
}

}  // namespace galette
