// SPDX-License-Identifier: Apache-2.0
// Which images of a dataset file its items show: all of them or a random subset, and after those,
// if wished, the same once more as mirror images.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace galette::io {

class DatasetItems {
 public:
  /// Of `num_images` >= 1 images. With a smaller `max_size`, a subset of that many in their order
  /// in the file, chosen by the legacy generator (legacy_random.h) under `seed`.
  DatasetItems(int64_t num_images, std::optional<int64_t> max_size, uint32_t seed, bool mirror);

  /// Number of items, mirror images included.
  int64_t size() const { return static_cast<int64_t>(chosen_.size()) * (mirror_ ? 2 : 1); }
  /// The image in the file; throws when there is no such item.
  int64_t raw_index(int64_t item) const;
  bool is_mirrored(int64_t item) const { return item >= static_cast<int64_t>(chosen_.size()); }

 private:
  std::vector<int64_t> chosen_;
  bool mirror_;
};

}  // namespace galette::io
