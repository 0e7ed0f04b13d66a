// SPDX-License-Identifier: Apache-2.0
// The Communicator for tensors in host memory, over any MPI communicator. Results are the same on
// all ranks bit for bit, and repeat bit for bit on the same number of ranks.
#pragma once

#include <memory>
#include <string>

#include <mpi.h>

#include "parallel/communicator.h"

namespace galette {

class MpiCommunicator final : public Communicator {
 public:
  /// Works on a duplicate of `comm`. A message has at most `max_count` elements (MPI counts are
  /// 32 bits wide); longer tensors travel in several. Collective.
  explicit MpiCommunicator(MPI_Comm comm, int64_t max_count = int64_t{1} << 30);
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;
  /// Collective.
  ~MpiCommunicator() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  /// For files that are written by all ranks.
  MPI_Comm handle() const { return comm_; }

  void all_reduce(at::Tensor values, ReduceOp op) override;
  void reduce_scatter(const at::Tensor& input, at::Tensor output) override;
  void all_gather(const at::Tensor& input, at::Tensor output) override;
  using Communicator::broadcast;
  void broadcast(at::Tensor values, int root) override;
  void barrier() override;
  std::unique_ptr<PendingCollective> start_all_reduce(at::Tensor values, ReduceOp op) override;
  std::unique_ptr<PendingCollective> start_reduce_scatter(at::Tensor values) override;
  std::string broadcast(const std::string& text, int root) override;

 private:
  void broadcast_bytes(void* data, int64_t bytes, int root);

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  int64_t max_count_;
};

}  // namespace galette
