// SPDX-License-Identifier: Apache-2.0
#include "io/image_labels.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "io/check.h"

namespace galette::io {
namespace {

using nlohmann::json;

[[noreturn]] void fail(const std::string& where, const std::string& what) {
  throw InputError(fmt::format("{}: {}", where, what));
}

int64_t to_class(const json& value, const std::string& where, const std::string& name) {
  const double number = value.get<double>();
  if (!(number >= 0 && number <= 0x1p31 && number == std::floor(number))) {
    fail(where, fmt::format("label {} of '{}' is no class; classes are the integers from 0 on",
                            value.dump(), name));
  }
  return static_cast<int64_t>(number);
}

ImageLabel to_label(const json& value, const std::string& where, const std::string& name) {
  const auto is_number = [](const json& element) { return element.is_number(); };
  if (value.is_null()) return {};
  if (value.is_number()) return to_class(value, where, name);
  if (value.is_array() && !value.empty() && std::all_of(value.begin(), value.end(), is_number)) {
    return value.get<std::vector<float>>();
  }
  fail(where, fmt::format("label of '{}' is neither a class number nor a list of numbers", name));
}

/// The length of a vector, 0 for a class; labels of one dataset agree in it.
size_t vector_length(const ImageLabel& label) {
  const auto* vector = std::get_if<std::vector<float>>(&label);
  return vector != nullptr ? vector->size() : 0;
}

json parse(std::span<const uint8_t> text, const std::string& where) {
  try {
    return json::parse(text.begin(), text.end());
  } catch (const json::parse_error& error) {
    fail(where, fmt::format("not valid JSON at byte {}", error.byte));
  }
}

bool is_pair(const json& entry) {
  return entry.is_array() && entry.size() == 2 && entry[0].is_string();
}

}  // namespace

std::map<std::string, ImageLabel> parse_labels(std::span<const uint8_t> text,
                                               const std::string& where) {
  const json root = parse(text, where);
  if (!root.is_object() || !root.contains("labels")) fail(where, "lacks the key \"labels\"");
  const json& list = root["labels"];
  if (!list.is_null() && !list.is_array()) fail(where, "\"labels\" is neither null nor a list");
  std::map<std::string, ImageLabel> labels;
  std::optional<size_t> length;
  for (const json& entry : list) {
    if (!is_pair(entry)) fail(where, fmt::format("{} is no pair [name, label]", entry.dump()));
    auto name = entry[0].get<std::string>();
    std::replace(name.begin(), name.end(), '\\', '/');
    ImageLabel label = to_label(entry[1], where, name);
    if (label.index() != 0 && length.value_or(vector_length(label)) != vector_length(label)) {
      fail(where, fmt::format("label of '{}' has another form than those before it", name));
    }
    if (label.index() != 0) length = vector_length(label);
    labels[name] = std::move(label);
  }
  return labels;
}

}  // namespace galette::io
