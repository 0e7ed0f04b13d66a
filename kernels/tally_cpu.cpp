// SPDX-License-Identifier: Apache-2.0
// CPU body of tallies: the values are few, so one thread adds them one after the other.
#include "kernels/tally_math.h"

namespace galette {
namespace {

template <class Rule, typename T>
void add_all(const T* values, int64_t n, typename Rule::Number* sums) {
  typename Rule::Number own[Rule::kNumbers] = {};
  for (int64_t i = 0; i < n; ++i) Rule::add(own, static_cast<double>(values[i]));
  for (int k = 0; k < Rule::kNumbers; ++k) sums[k] += own[k];
}

}  // namespace

void add_tally_cpu(ElementType type, Tally tally, const void* values, int64_t n, void* sums) {
  with_tally(tally, [&](auto rule) {
    using Rule = decltype(rule);
    auto* const numbers = static_cast<typename Rule::Number*>(sums);
    if (type == ElementType::kFloat64)
      return add_all<Rule>(static_cast<const double*>(values), n, numbers);
    add_all<Rule>(static_cast<const float*>(values), n, numbers);
  });
}

}  // namespace galette
