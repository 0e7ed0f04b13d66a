// SPDX-License-Identifier: Apache-2.0
// Which samples of a batch a rank works on, and in which micro-batches: sample g of B belongs to
// rank g / (B/R), and there to accumulation step (g mod B/R) / b.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

namespace galette {

struct BatchPlan {
  int64_t batch = 0;  ///< B, over all ranks
  int64_t ranks = 1;  ///< R
  int64_t rank = 0;
  int64_t micro = 0;  ///< b, samples of one accumulation step

  int64_t local() const { return batch / ranks; }
  int64_t steps() const { return local() / micro; }
  /// Global numbers of the samples of one accumulation step.
  std::vector<int64_t> samples(int64_t step) const {
    return range(rank * local() + step * micro, micro);
  }
  /// Global numbers of all samples of this rank.
  std::vector<int64_t> local_samples() const { return range(rank * local(), local()); }

 private:
  static std::vector<int64_t> range(int64_t first, int64_t count) {
    std::vector<int64_t> numbers(static_cast<size_t>(count));
    std::iota(numbers.begin(), numbers.end(), first);
    return numbers;
  }
};

}  // namespace galette
