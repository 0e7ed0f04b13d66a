// SPDX-License-Identifier: Apache-2.0
#include "metrics/neighbours.h"

#include <limits>
#include <tuple>

#include <c10/util/Exception.h>

namespace galette {
namespace {

/// Of squared distances: what their rounding may be, so that equal distances stay so.
constexpr double kTie = 1 + 1e-9;

/// Rows in double precision, and their squared lengths [n, 1].
struct Rows {
  explicit Rows(const at::Tensor& features)
      : values(features.to(at::kDouble)), squares(values.square().sum(1, /*keepdim=*/true)) {}
  at::Tensor values, squares;
};

/// Squared distances [n, m], by |a|^2 + |b|^2 - 2 a.b: the products take the time, and in double
/// precision what cancels leaves more digits than features have.
at::Tensor squared_distances(const Rows& a, const Rows& b) {
  return (a.squares + b.squares.t()).addmm_(a.values, b.values.t(), 1, -2).clamp_min_(0);
}

/// Calls `use` for each part of this rank's rows with each block of all rows of `others`.
void for_each_pair(const SharedFeatures& mine, const SharedFeatures& others,
                   const std::function<void()>& between,
                   const std::function<void(int64_t row, int64_t other, const at::Tensor&)>& use) {
  others.for_each_block([&](int64_t other, const at::Tensor& features) {
    const Rows block(features);
    int64_t row = 0;
    for (const at::Tensor& part : mine.own().split(SharedFeatures::kBlock)) {
      use(row, other, squared_distances(Rows(part), block));
      row += part.size(0);
    }
    between();
  });
}

/// Squared distances [own rows] to the k-th nearest other row.
at::Tensor neighbour_radii(const SharedFeatures& set, int64_t k,
                           const std::function<void()>& between) {
  TORCH_CHECK(set.rows() > k, "each of ", set.rows(), " images has fewer than ", k, " neighbours");
  // The nearest is the image itself.
  const at::Tensor nearest =
      at::full({set.own().size(0), k + 1}, std::numeric_limits<double>::infinity(), at::kDouble);
  for_each_pair(set, set, between, [&](int64_t row, int64_t /*other*/, const at::Tensor& squares) {
    const at::Tensor best = nearest.narrow(0, row, squares.size(0));
    best.copy_(std::get<0>(at::cat({best, squares}, 1).topk(k + 1, 1, /*largest=*/false)));
  });
  return std::get<0>(nearest.max(1)) * kTie;
}

/// Numbers of all ranks' rows in their order, of each rank's own.
at::Tensor gathered(const at::Tensor& own, const SharedFeatures& set) {
  at::Tensor all = at::zeros({set.rows()}, own.options());
  all.narrow(0, set.first(), own.size(0)).copy_(own);
  set.comm().all_reduce(all, ReduceOp::sum);
  return all;
}

}  // namespace

Coverage coverage(const SharedFeatures& real, const SharedFeatures& generated, int64_t k,
                  const std::function<void()>& between) {
  const at::Tensor real_radii = gathered(neighbour_radii(real, k, between), real);
  const at::Tensor own_radii = neighbour_radii(generated, k, between);
  at::Tensor real_covered = at::zeros({real.rows()}, at::kByte);
  const at::Tensor generated_covered = at::zeros({generated.own().size(0)}, at::kByte);
  for_each_pair(generated, real, between,
                [&](int64_t row, int64_t other, const at::Tensor& squares) {
                  const int64_t n = squares.size(0), m = squares.size(1);
                  const at::Tensor by_real = squares.le(real_radii.narrow(0, other, m));
                  generated_covered.narrow(0, row, n).bitwise_or_(by_real.any(1));
                  const at::Tensor by_own = squares.le(own_radii.narrow(0, row, n).unsqueeze(1));
                  real_covered.narrow(0, other, m).bitwise_or_(by_own.any(0));
                });
  Communicator& comm = real.comm();
  comm.all_reduce(real_covered, ReduceOp::max);
  const double covered = comm.sum(generated_covered.sum().item<double>());
  return {covered / static_cast<double>(generated.rows()),
          real_covered.sum().item<double>() / static_cast<double>(real.rows())};
}

}  // namespace galette
