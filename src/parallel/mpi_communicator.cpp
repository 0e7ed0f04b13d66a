// SPDX-License-Identifier: Apache-2.0
#include "parallel/mpi_communicator.h"

#include <algorithm>

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

void check_tensor(const at::Tensor& t, const char* call) {
  TORCH_CHECK(t.defined(), call, ": undefined tensor");
  TORCH_CHECK(t.device().is_cpu(), call, ": the MPI communicator moves host memory, got ",
              t.device());
  TORCH_CHECK(t.is_contiguous(), call, ": tensor must be contiguous, got strides ", t.strides());
  mpi_type(t.scalar_type());
}

/// `whole` must hold `size` times the elements of `part`, of the same type.
void check_parts(const at::Tensor& whole, const at::Tensor& part, int size, const char* call) {
  check_tensor(whole, call);
  check_tensor(part, call);
  TORCH_CHECK(whole.scalar_type() == part.scalar_type(), call, ": element types differ, ",
              whole.scalar_type(), " and ", part.scalar_type());
  TORCH_CHECK(whole.numel() == size * part.numel(), call, ": ", size, " ranks of ", part.numel(),
              " elements do not make ", whole.numel());
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
  const WatchedSection section("all-reduce");
  check_tensor(values, "all_reduce");
  const MPI_Datatype type = mpi_type(values.scalar_type());
  in_pieces(values.numel(), max_count_, [&](int64_t first, int count) {
    MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, element(values, first), count, type, mpi_op(op), comm_));
  });
}

void MpiCommunicator::reduce_scatter(const at::Tensor& input, at::Tensor output) {
  const WatchedSection section("reduce-scatter");
  check_parts(input, output, size_, "reduce_scatter");
  const MPI_Datatype type = mpi_type(input.scalar_type());
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
  const WatchedSection section("all-gather");
  check_parts(output, input, size_, "all_gather");
  const MPI_Datatype type = mpi_type(input.scalar_type());
  const int64_t n = input.numel();
  if (n == 0) return;
  if (output.numel() <= max_count_) {
    MPI_CHECK(MPI_Allgather(input.data_ptr(), static_cast<int>(n), type, output.data_ptr(),
                            static_cast<int>(n), type, comm_));
    return;
  }
  output.view(-1).narrow(0, rank_ * n, n).copy_(input.view(-1));
  for (int root = 0; root < size_; ++root) {
    broadcast_bytes(element(output, root * n), n * output.element_size(), root);
  }
}

void MpiCommunicator::broadcast(at::Tensor values, int root) {
  const WatchedSection section("broadcast");
  check_tensor(values, "broadcast");
  broadcast_bytes(values.data_ptr(), values.numel() * values.element_size(), root);
}

void MpiCommunicator::broadcast_bytes(void* data, int64_t bytes, int root) {
  in_pieces(bytes, max_count_, [&](int64_t first, int count) {
    MPI_CHECK(MPI_Bcast(static_cast<char*>(data) + first, count, MPI_BYTE, root, comm_));
  });
}

void MpiCommunicator::barrier() {
  const WatchedSection section("barrier");
  MPI_CHECK(MPI_Barrier(comm_));
}

std::string MpiCommunicator::broadcast(const std::string& text, int root) {
  const WatchedSection section("broadcast");
  auto length = static_cast<int64_t>(text.size());
  MPI_CHECK(MPI_Bcast(&length, 1, MPI_INT64_T, root, comm_));
  std::string result = text;
  result.resize(static_cast<size_t>(length));
  broadcast_bytes(result.data(), length, root);
  return result;
}

}  // namespace galette
