// SPDX-License-Identifier: Apache-2.0
// Labels of images, from the file dataset.json: {"labels": [[name, label], ...]} or null, where a
// label is a class number or a list of numbers.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace galette::io {

/// None, a class (0 or larger), or a vector.
using ImageLabel = std::variant<std::monostate, int64_t, std::vector<float>>;

/// By image name with "/" between the parts. Throws InputError that opens with `where` when the
/// text has another form, a class is negative or no integer, or labels are of different kinds.
std::map<std::string, ImageLabel> parse_labels(std::span<const uint8_t> json,
                                               const std::string& where);

}  // namespace galette::io
