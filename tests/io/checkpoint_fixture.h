// SPDX-License-Identifier: Apache-2.0
// A small checkpoint content for tests: several blocks with a partial last one, several types, an
// array of less than a block and an empty one.
#pragma once

#include <ATen/ATen.h>

#include "io/checkpoint.h"

namespace galette::io {

constexpr int64_t kSampleParams = 700001;  // 2.67 MiB of float32: three blocks

/// Values that differ in every element, and between steps.
inline CheckpointContent sample_content(int64_t step) {
  CheckpointContent content;
  const auto params = at::arange(kSampleParams, at::kFloat).mul_(0.5f).add_(step);
  content.arrays.push_back({"params",
                            params,
                            {{"G_ema/synthesis.b4.fc1.weight", {3, 4}, 1000},
                             {"G_ema/w_avg", {5}, kSampleParams - 5},
                             {"G_ema/magnitude", {}, 7}}});
  content.arrays.push_back({"moments", at::arange(200000, at::kDouble).add_(step / 3.0), {}});
  content.arrays.push_back({"reached", at::full({3}, step, at::kByte), {}});
  content.arrays.push_back({"nothing", at::empty({0}), {}});
  content.state = {{"step", step}, {"pl_mean", 0.1 * step}, {"text", "crêpe"}};
  return content;
}

/// The same arrays with other values and no state, to be read into.
inline CheckpointContent blank_content() {
  auto content = sample_content(0);
  for (auto& array : content.arrays) array.values.fill_(77);
  content.state = nullptr;
  return content;
}

inline bool equal(const CheckpointContent& a, const CheckpointContent& b) {
  bool same = a.state == b.state && a.arrays.size() == b.arrays.size();
  for (size_t i = 0; same && i < a.arrays.size(); ++i)
    same = a.arrays[i].name == b.arrays[i].name && a.arrays[i].values.equal(b.arrays[i].values);
  return same;
}

}  // namespace galette::io
