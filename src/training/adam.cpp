// SPDX-License-Identifier: Apache-2.0
#include "training/adam.h"

#include <cmath>

#include "kernels/multi_tensor.h"

namespace galette {

AdamConfig AdamConfig::lazy(double lr, int64_t interval) {
  AdamConfig config{.lr = lr};
  if (interval > 1) {
    const double ratio = static_cast<double>(interval) / static_cast<double>(interval + 1);
    config.lr *= ratio;
    config.beta2 = std::pow(config.beta2, ratio);
  }
  return config;
}

Adam::Adam(ParameterArena& arena, const AdamConfig& config)
    : arena_(arena),
      config_(config),
      second_moment_(at::zeros_like(arena.flat_parameters())),
      step_counts_(at::zeros({static_cast<int64_t>(arena.parameters().size())}, at::kLong)) {}

int64_t Adam::step(double grad_scale) {
  const std::vector<ArenaEntry>& entries = arena_.parameters();
  const uint8_t* reached = arena_.reached().data_ptr<uint8_t>();
  int64_t* counts = step_counts_.data_ptr<int64_t>();
  int64_t non_finite = 0;
  // Neighbours that were reached and share a step count are stepped as one range.
  for (size_t first = 0; first < entries.size();) {
    size_t last = first + 1;
    while (last < entries.size() && reached[last] == reached[first] &&
           counts[last] == counts[first]) {
      ++last;
    }
    if (reached[first] != 0) {
      const int64_t begin = entries[first].offset;
      const int64_t size = entries[last - 1].offset + entries[last - 1].size - begin;
      for (size_t i = first; i < last; ++i) ++counts[i];
      non_finite += adam_step(arena_.flat_parameters().narrow(0, begin, size),
                              arena_.flat_gradients().narrow(0, begin, size),
                              second_moment_.narrow(0, begin, size),
                              {config_.lr, config_.beta2, config_.eps, counts[first], grad_scale});
    }
    first = last;
  }
  return non_finite;
}

}  // namespace galette
