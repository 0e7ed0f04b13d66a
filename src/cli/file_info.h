// SPDX-License-Identifier: Apache-2.0
// What a file is and holds, as JSON. Keys that every kind has: file, kind ("dataset", "network
// snapshot", "checkpoint", "safetensors", "published networks", "PyTorch weights"), bytes and
// checks (what was compared with what the file says of itself). Tables of tensors are lists of
// objects with name, type and shape.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace galette {

/// With `verify`, all bytes that carry checksums are read and compared, and numbers that are not
/// finite are counted. Throws InputError when the file is missing, of no kind that is known, or
/// damaged. On one rank.
nlohmann::ordered_json file_info(const std::string& path, bool verify);

}  // namespace galette
