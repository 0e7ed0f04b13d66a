// SPDX-License-Identifier: Apache-2.0
// Counts and moments of a few values, such as the losses of a batch, added to what is known of
// earlier ones: one operation, for whose result nobody waits. The order of summation depends on the
// number of values and the device only.
#pragma once

#include <ATen/ATen.h>

#include "kernels/tally_math.h"

namespace galette {

/// Adds to `sums`, contiguous, on the device of `values` (any shape; floating-point):
///
///   Tally::moments  float64 [3]     count, sum, sum of squares
///   Tally::scores   float64 [2, 3]  the moments of the values, and those of their signs
///   Tally::signs    int64 [4]       how many are positive, negative, there at all, NaN
///
/// The sign of zero and of NaN is 0. Throws c10::Error when types, shapes or devices do not fit.
void add_tally(Tally tally, const at::Tensor& values, const at::Tensor& sums);

}  // namespace galette
