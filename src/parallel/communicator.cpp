// SPDX-License-Identifier: Apache-2.0
#include "parallel/communicator.h"

namespace galette {
namespace {

double reduce_scalar(Communicator& comm, double value, ReduceOp op) {
  at::Tensor t = at::full({1}, value, at::kDouble);
  comm.all_reduce(t, op);
  return t.item<double>();
}

}  // namespace

double Communicator::sum(double value) {
  return reduce_scalar(*this, value, ReduceOp::sum);
}
double Communicator::max(double value) {
  return reduce_scalar(*this, value, ReduceOp::max);
}
bool Communicator::any(bool value) {
  return reduce_scalar(*this, value, ReduceOp::max) != 0;
}
bool Communicator::all(bool value) {
  return reduce_scalar(*this, value, ReduceOp::min) != 0;
}

bool Communicator::agree(uint64_t digest) {
  const auto value = static_cast<int64_t>(digest);
  // min(x) == max(x) in one reduction: max of (x, -x-1) keeps both ends without overflow.
  at::Tensor ends = at::tensor({value, ~value}, at::kLong);
  all_reduce(ends, ReduceOp::max);
  return ends[0].item<int64_t>() == ~ends[1].item<int64_t>();
}

}  // namespace galette
