// SPDX-License-Identifier: Apache-2.0
#include "cli/loop_spline.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace galette {
namespace {

constexpr int64_t kPeriods = 5, kPeriodsBefore = 2;

/// Second derivatives m of the spline through y [N, n] at knots 0 ... N-1, N >= 5. Its equations
/// are
///   m[i-1] + 4 m[i] + m[i+1] = r[i] = 6 (y[i-1] - 2 y[i] + y[i+1])   at inner knots, and
///   m[0] - 2 m[1] + m[2] = 0 = m[N-3] - 2 m[N-2] + m[N-1]            where the ends are no knots.
/// Their sum at either end leaves 6 m[1] = r[1]; between those the system is tridiagonal.
at::Tensor second_derivatives(const at::Tensor& y) {
  const int64_t last = y.size(0) - 1;
  const at::Tensor m = at::zeros_like(y);
  m.slice(0, 1, last)
      .copy_(6 * (y.slice(0, 0, last - 1) - 2 * y.slice(0, 1, last) + y.slice(0, 2, last + 1)));
  m[1].div_(6);
  m[last - 1].div_(6);
  m[2].sub_(m[1]);
  m[last - 2].sub_(m[last - 1]);
  std::vector<double> pivot(static_cast<size_t>(last), 4);
  for (int64_t i = 3; i <= last - 2; ++i) {
    const auto k = static_cast<size_t>(i);
    pivot[k] -= 1 / pivot[k - 1];
    m[i].sub_(m[i - 1], 1 / pivot[k - 1]);
  }
  m[last - 2].div_(pivot[static_cast<size_t>(last - 2)]);
  for (int64_t i = last - 3; i >= 2; --i) m[i].sub_(m[i + 1]).div_(pivot[static_cast<size_t>(i)]);
  return m;
}

}  // namespace

LoopSpline::LoopSpline(const at::Tensor& values) {
  const int64_t period = values.size(0), first = kPeriodsBefore * period;
  const at::Tensor knots = values.to(at::kDouble).repeat({kPeriods, 1});
  values_ = knots.slice(0, first, first + period + 1).clone();
  // One value, repeated, has no curvature; its few knots would be fewer than the two ends need.
  curvature_ = period == 1 ? at::zeros_like(values_)
                           : second_derivatives(knots).slice(0, first, first + period + 1).clone();
}

at::Tensor LoopSpline::value_at(double x) const {
  const auto left =
      std::clamp<int64_t>(static_cast<int64_t>(std::floor(x)), 0, values_.size(0) - 2);
  const double b = x - static_cast<double>(left), a = 1 - b;
  return a * values_[left] + b * values_[left + 1] + ((a * a * a - a) / 6) * curvature_[left] +
         ((b * b * b - b) / 6) * curvature_[left + 1];
}

}  // namespace galette
