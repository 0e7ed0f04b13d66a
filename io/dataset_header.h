// SPDX-License-Identifier: Apache-2.0
// What is read from a dataset file when it is opened, checked to agree with itself.
#pragma once

#include <string>

#include "io/dataset_file.h"

namespace galette::io {

struct DatasetHeader {
  DatasetInfo info;
  int64_t offset = 0;    ///< of /images, in bytes
  at::Tensor checksums;  ///< int64 [N]
  at::Tensor labels;     ///< int64 [N], float32 [N, L], or undefined
};

/// Errors as in Dataset::open.
DatasetHeader read_dataset_header(const std::string& path);

bool is_power_of_two(int64_t value);

}  // namespace galette::io
