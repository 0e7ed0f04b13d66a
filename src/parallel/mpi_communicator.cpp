// SPDX-License-Identifier: Apache-2.0
#include "parallel/mpi_communicator.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "io/check.h"
#include "parallel/heartbeat.h"

namespace galette {
namespace {

MPI_Datatype mpi_type(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return MPI_FLOAT;
    case at::kDouble:
      return MPI_DOUBLE;
    case at::kInt:
      return MPI_INT32_T;
    case at::kLong:
      return MPI_INT64_T;
    case at::kByte:
      return MPI_UINT8_T;
    default:
      TORCH_CHECK(false, "MPI communicator: cannot move elements of type ", type);
  }
}

MPI_Op mpi_op(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
      return MPI_SUM;
    case ReduceOp::min:
      return MPI_MIN;
    case ReduceOp::max:
      return MPI_MAX;
  }
  TORCH_CHECK(false, "MPI communicator: unknown reduction");
}

/// The type of the elements of a tensor that MPI can move.
MPI_Datatype checked_type(const at::Tensor& t, const char* call) {
  TORCH_CHECK(t.defined(), call, ": undefined tensor");
  TORCH_CHECK(t.device().is_cpu(), call, ": the MPI communicator moves host memory, got ",
              t.device());
  TORCH_CHECK(t.is_contiguous(), call, ": tensor must be contiguous, got strides ", t.strides());
  return mpi_type(t.scalar_type());
}

/// `whole` must hold `size` times the elements of `part`, of the same type, which is returned.
MPI_Datatype checked_type(const at::Tensor& whole, const at::Tensor& part, int size,
                          const char* call) {
  const MPI_Datatype type = checked_type(whole, call);
  checked_type(part, call);
  TORCH_CHECK(whole.scalar_type() == part.scalar_type(), call, ": element types differ, ",
              whole.scalar_type(), " and ", part.scalar_type());
  TORCH_CHECK(whole.numel() == size * part.numel(), call, ": ", size, " ranks of ", part.numel(),
              " elements do not make ", whole.numel());
  return type;
}

/// Calls body(first, count) for consecutive pieces of [0, total) of at most `most` elements.
template <typename Body>
void in_pieces(int64_t total, int64_t most, const Body& body) {
  for (int64_t first = 0; first < total; first += most) {
    body(first, static_cast<int>(std::min(most, total - first)));
  }
}

char* element(const at::Tensor& t, int64_t index) {
  return static_cast<char*>(t.data_ptr()) + index * t.element_size();
}

/// One operation on a tensor, in one or several messages.
class PendingMpi final : public PendingCollective {
 public:
  PendingMpi(const char* name, at::Tensor values) : name_(name), values_(std::move(values)) {}
  ~PendingMpi() override {
    // MPI cannot call a collective operation back, and may still write: the memory stays.
    if (!is_done_) static_cast<void>(new (std::nothrow) at::Tensor(values_));
  }

  /// Where to put the request of a further message.
  MPI_Request* add() {
    requests_.push_back(MPI_REQUEST_NULL);
    return &requests_.back();
  }
  /// The result begins `elements` into the tensor, where MPI leaves it at its beginning.
  void move_result(int64_t elements, int64_t count) {
    first_ = elements;
    count_ = count;
  }

  bool test() override {
    if (is_done_) return true;
    int flag = 0;
    MPI_CHECK(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &flag,
                          MPI_STATUSES_IGNORE));
    if (flag != 0) end();
    return is_done_;
  }

  void wait() override {
    if (is_done_) return;
    const WatchedCall watched(name_);
    MPI_CHECK(
        MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE));
    end();
  }

 private:
  void end() {
    if (first_ > 0) {
      std::memcpy(element(values_, first_), element(values_, 0),
                  static_cast<size_t>(count_ * values_.element_size()));
    }
    is_done_ = true;
  }

  const char* name_;
  at::Tensor values_;
  std::vector<MPI_Request> requests_;
  int64_t first_ = 0, count_ = 0;
  bool is_done_ = false;
};

}  // namespace

MpiCommunicator::MpiCommunicator(MPI_Comm comm, int64_t max_count) : max_count_(max_count) {
  MPI_CHECK(MPI_Comm_dup(comm, &comm_));
  MPI_CHECK(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN));
  MPI_CHECK(MPI_Comm_rank(comm_, &rank_));
  MPI_CHECK(MPI_Comm_size(comm_, &size_));
}

MpiCommunicator::~MpiCommunicator() {
  MPI_Comm_free(&comm_);
}

void MpiCommunicator::all_reduce(at::Tensor values, ReduceOp op) {
  const WatchedCall watched("all-reduce");
  const MPI_Datatype type = checked_type(values, "all_reduce");
  in_pieces(values.numel(), max_count_, [&](int64_t first, int count) {
    MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, element(values, first), count, type, mpi_op(op), comm_));
  });
}

void MpiCommunicator::reduce_scatter(const at::Tensor& input, at::Tensor output) {
  const WatchedCall watched("reduce-scatter");
  const MPI_Datatype type = checked_type(input, output, size_, "reduce_scatter");
  const int64_t n = output.numel();
  if (n == 0) return;
  if (input.numel() <= max_count_) {
    MPI_CHECK(MPI_Reduce_scatter_block(input.data_ptr(), output.data_ptr(), static_cast<int>(n),
                                       type, MPI_SUM, comm_));
    return;
  }
  // A piece of every rank's part is not contiguous in the input, so each rank's part goes by
  // itself.
  for (int root = 0; root < size_; ++root) {
    in_pieces(n, max_count_, [&](int64_t first, int count) {
      MPI_CHECK(MPI_Reduce(element(input, root * n + first), element(output, first), count, type,
                           MPI_SUM, root, comm_));
    });
  }
}

void MpiCommunicator::all_gather(const at::Tensor& input, at::Tensor output) {
  const WatchedCall watched("all-gather");
  const MPI_Datatype type = checked_type(output, input, size_, "all_gather");
  const int64_t n = input.numel();
  if (n == 0) return;
  if (output.numel() <= max_count_) {
    const bool in_place = input.data_ptr() == element(output, rank_ * n);
    MPI_CHECK(MPI_Allgather(in_place ? MPI_IN_PLACE : input.data_ptr(), static_cast<int>(n), type,
                            output.data_ptr(), static_cast<int>(n), type, comm_));
    return;
  }
  output.view(-1).narrow(0, rank_ * n, n).copy_(input.view(-1));
  for (int root = 0; root < size_; ++root) {
    broadcast_bytes(element(output, root * n), n * output.element_size(), root);
  }
}

void MpiCommunicator::broadcast(at::Tensor values, int root) {
  const WatchedCall watched("broadcast");
  checked_type(values, "broadcast");
  broadcast_bytes(values.data_ptr(), values.numel() * values.element_size(), root);
}

void MpiCommunicator::broadcast_bytes(void* data, int64_t bytes, int root) {
  in_pieces(bytes, max_count_, [&](int64_t first, int count) {
    MPI_CHECK(MPI_Bcast(static_cast<char*>(data) + first, count, MPI_BYTE, root, comm_));
  });
}

void MpiCommunicator::barrier() {
  const WatchedCall watched("barrier");
  MPI_CHECK(MPI_Barrier(comm_));
}

std::unique_ptr<PendingCollective> MpiCommunicator::start_all_reduce(at::Tensor values,
                                                                     ReduceOp op) {
  const MPI_Datatype type = checked_type(values, "start_all_reduce");
  auto pending = std::make_unique<PendingMpi>("all-reduce", values);
  in_pieces(values.numel(), max_count_, [&](int64_t first, int count) {
    MPI_CHECK(MPI_Iallreduce(MPI_IN_PLACE, element(values, first), count, type, mpi_op(op), comm_,
                             pending->add()));
  });
  return pending;
}

std::unique_ptr<PendingCollective> MpiCommunicator::start_reduce_scatter(at::Tensor values) {
  const MPI_Datatype type = checked_type(values, "start_reduce_scatter");
  TORCH_CHECK(values.numel() % size_ == 0, "start_reduce_scatter: ", values.numel(),
              " elements cannot be divided among ", size_, " ranks");
  auto pending = std::make_unique<PendingMpi>("reduce-scatter", values);
  const int64_t n = values.numel() / size_;
  if (n > 0 && values.numel() <= max_count_) {
    pending->move_result(rank_ * n, n);
    MPI_CHECK(MPI_Ireduce_scatter_block(MPI_IN_PLACE, values.data_ptr(), static_cast<int>(n), type,
                                        MPI_SUM, comm_, pending->add()));
    return pending;
  }
  // As in reduce_scatter().
  for (int root = 0; root < size_; ++root) {
    in_pieces(n, max_count_, [&](int64_t first, int count) {
      void* part = element(values, root * n + first);
      MPI_CHECK(MPI_Ireduce(root == rank_ ? MPI_IN_PLACE : part, root == rank_ ? part : nullptr,
                            count, type, MPI_SUM, root, comm_, pending->add()));
    });
  }
  return pending;
}

std::string MpiCommunicator::broadcast(const std::string& text, int root) {
  const WatchedCall watched("broadcast");
  auto length = static_cast<int64_t>(text.size());
  MPI_CHECK(MPI_Bcast(&length, 1, MPI_INT64_T, root, comm_));
  std::string result = text;
  result.resize(static_cast<size_t>(length));
  broadcast_bytes(result.data(), length, root);
  return result;
}

}  // namespace galette
