// SPDX-License-Identifier: Apache-2.0
#include "kernels/fir_taps.h"

#include <algorithm>
#include <cmath>

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

}  // namespace

HostTaps host_taps(const at::Tensor& filter, bool flip_filter, double gain) {
  HostTaps taps;
  at::Tensor f =
      filter.defined() ? filter.to(at::kCPU, at::kDouble) : at::ones({1, 1}, at::kDouble);
  if (!flip_filter) f = f.dim() == 1 ? f.flip({0}) : f.flip({0, 1});
  f = f.contiguous();
  const double* const data = f.const_data_ptr<double>();
  if (f.dim() == 1) {
    taps.separable = true;
    taps.x.assign(data, data + f.numel());
    taps.y = taps.x;
  } else {
    taps.full.assign(data, data + f.numel());
    split_rank_one(taps, f.size(0), f.size(1));
  }
  for (double& tap : taps.separable ? taps.x : taps.full) tap *= gain;
  return taps;
}

}  // namespace galette
