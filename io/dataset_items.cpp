// SPDX-License-Identifier: Apache-2.0
#include "io/dataset_items.h"

#include <algorithm>
#include <numeric>
#include <span>

#include <c10/util/Exception.h>

#include "io/legacy_random.h"

namespace galette::io {

DatasetItems::DatasetItems(int64_t num_images, std::optional<int64_t> max_size, uint32_t seed,
                           bool mirror)
    : chosen_(static_cast<size_t>(num_images)), mirror_(mirror) {
  TORCH_CHECK(num_images >= 1 && max_size.value_or(1) >= 1, "a dataset of no items");
  std::iota(chosen_.begin(), chosen_.end(), int64_t{0});
  if (!max_size || *max_size >= num_images) return;
  LegacyRandom(seed).shuffle(std::span<int64_t>(chosen_));
  chosen_.resize(static_cast<size_t>(*max_size));
  std::sort(chosen_.begin(), chosen_.end());
}

int64_t DatasetItems::raw_index(int64_t item) const {
  TORCH_CHECK(item >= 0 && item < size(), "no item ", item, " in a dataset of ", size());
  return chosen_[static_cast<size_t>(item) % chosen_.size()];
}

}  // namespace galette::io
