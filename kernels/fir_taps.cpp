// SPDX-License-Identifier: Apache-2.0
#include "kernels/fir_taps.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace galette {
namespace {

/// Splits a matrix of rank one into column times row. The products of float32 taps are exact in
/// float64, so the test is exact for filters like [1, 3, 3, 1] x [1, 3, 3, 1] and rejects others.
void split_rank_one(HostTaps& taps, int64_t rows, int64_t columns) {
  const std::vector<double>& f = taps.full;
  const auto larger = [](double a, double b) { return std::abs(a) < std::abs(b); };
  const int64_t pivot = std::max_element(f.begin(), f.end(), larger) - f.begin();
  const double* const row = f.data() + pivot / columns * columns;
  const double* const column = f.data() + pivot % columns;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      if (f[i * columns + j] * f[pivot] != column[i * columns] * row[j]) return;
  taps.separable = true;
  taps.x.assign(row, row + columns);
  for (int64_t i = 0; i < rows; ++i)
    taps.y.push_back(f[pivot] == 0 ? 0 : column[i * columns] / f[pivot]);
}

/// The elements of a filter in their order. A few numbers of the usual types cost no operator.
std::vector<double> elements(const at::Tensor& filter) {
  if (!filter.defined()) return {1};
  const at::Tensor f = filter.cpu().contiguous();
  if (f.scalar_type() == at::kDouble)
    return {f.const_data_ptr<double>(), f.const_data_ptr<double>() + f.numel()};
  TORCH_CHECK(f.scalar_type() == at::kFloat, "host_taps: a filter of type ", f.scalar_type());
  return {f.const_data_ptr<float>(), f.const_data_ptr<float>() + f.numel()};
}

}  // namespace

HostTaps host_taps(const at::Tensor& filter, bool flip_filter, double gain) {
  HostTaps taps;
  std::vector<double> oriented = elements(filter);
  if (!flip_filter) std::reverse(oriented.begin(), oriented.end());
  if (filter.defined() && filter.dim() == 1) {
    taps.separable = true;
    taps.x = taps.y = std::move(oriented);
  } else {
    const int64_t columns = filter.defined() ? filter.size(1) : 1;
    taps.full = std::move(oriented);
    split_rank_one(taps, static_cast<int64_t>(taps.full.size()) / columns, columns);
  }
  for (double& tap : taps.separable ? taps.x : taps.full) tap *= gain;
  return taps;
}

}  // namespace galette
