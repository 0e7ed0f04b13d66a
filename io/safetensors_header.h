// SPDX-License-Identifier: Apache-2.0
// The header of a safetensors file: where each tensor is, checked to make sense.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "io/positional_file.h"

namespace galette::io {

constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;  ///< bytes, as published

struct SafetensorsEntry {
  std::string name;
  at::ScalarType type = at::kFloat;
  std::vector<int64_t> shape;
  int64_t begin = 0, end = 0;  ///< bytes, from the start of the data
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  ///< in the order of their data
  std::map<std::string, std::string> metadata;
  int64_t data_offset = 0;  ///< of the data in the file

  /// The header as bytes of the file, with its length before it, padded so that the data start at a
  /// multiple of 8.
  std::string encode() const;
};

/// Errors as in read_safetensors.
SafetensorsHeader read_safetensors_header(const std::string& path, const PositionalFile& file);

/// Throws std::runtime_error naming the tensor when its type cannot be stored.
void check_safetensors_type(const std::string& name, at::ScalarType type);

}  // namespace galette::io
