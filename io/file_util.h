// SPDX-License-Identifier: Apache-2.0
// Whole files in and out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace galette::io {

/// The bytes of a file. Throws InputError naming the path when it cannot be read.
std::vector<uint8_t> read_file(const std::string& path);

/// Writes `path` by way of `path`.tmp and a rename, so that a reader sees the old file or the new
/// one and never a part. Throws InputError naming the path when it cannot be written.
void write_file(const std::string& path, std::span<const uint8_t> bytes);

}  // namespace galette::io
