// SPDX-License-Identifier: Apache-2.0
// Collective operations on tensors among the ranks of a run. One implementation moves host memory
// over MPI; another may move device memory over NCCL. All calls are collective: every rank makes
// the same calls in the same order with equal sizes. Tensors must be contiguous and on the device
// that the implementation serves. On a device, a call is ordered after the work queued before it on
// the current stream, and later work on that stream sees its result.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <ATen/ATen.h>

namespace galette {

enum class ReduceOp { sum, min, max };

/// A collective operation that goes on while its caller computes. It keeps its tensor alive; until
/// wait() has returned, the tensor must be neither read nor written. Destroyed before that, as when
/// an error unwinds the stack, the operation is abandoned, and so is the communicator.
class PendingCollective {
 public:
  virtual ~PendingCollective() = default;
  /// Whether the result is there. Over MPI, the operation gets on during such calls.
  virtual bool test() = 0;
  /// Returns when the result is there. On a device, does not hold up the host: later work on the
  /// current stream sees the result.
  virtual void wait() = 0;
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// In place, over all ranks. float32, float64, int32, int64, uint8.
  virtual void all_reduce(at::Tensor values, ReduceOp op) = 0;
  /// `input` has size()*n elements, `output` n: rank r receives elements [r*n, (r+1)*n) of the sum.
  virtual void reduce_scatter(const at::Tensor& input, at::Tensor output) = 0;
  /// `input` has n elements, `output` size()*n: the inputs of all ranks in rank order. `input` may
  /// be elements [rank()*n, (rank()+1)*n) of `output`.
  virtual void all_gather(const at::Tensor& input, at::Tensor output) = 0;
  /// In place, from `root` to all.
  virtual void broadcast(at::Tensor values, int root) = 0;
  virtual void barrier() = 0;

  /// As all_reduce(), ordered after the work queued so far; the caller goes on at once. Several
  /// operations may be pending; all ranks start them in the same order, and may end them in any.
  virtual std::unique_ptr<PendingCollective> start_all_reduce(at::Tensor values, ReduceOp op) = 0;
  /// In place, on size()*n elements: elements [r*n, (r+1)*n) become the sum on rank r; on the other
  /// ranks they are then undefined.
  virtual std::unique_ptr<PendingCollective> start_reduce_scatter(at::Tensor values) = 0;

  /// Throws when an earlier operation is known to have failed on the device, whose results are then
  /// worth nothing. Not collective.
  virtual void check() {}

  /// A string from `root`, on all ranks.
  virtual std::string broadcast(const std::string& text, int root) = 0;

  // Scalars, on top of the above.
  double sum(double value);
  double max(double value);
  /// True when any (or every) rank says so.
  bool any(bool value);
  bool all(bool value);
  /// Whether all ranks hold the same bytes.
  bool agree(uint64_t digest);
};

}  // namespace galette
