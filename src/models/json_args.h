// SPDX-License-Identifier: Apache-2.0
// Constructor arguments that are a number or null, as clamps and optional widths are.
#pragma once

#include <optional>

#include <nlohmann/json.hpp>

namespace galette {

/// args[name] with null for none; `fallback` when there is no such argument.
template <typename T>
std::optional<T> number_or_null(const nlohmann::json& args, const char* name,
                                const std::optional<T>& fallback) {
  const auto found = args.find(name);
  if (found == args.end()) return fallback;
  return found->is_null() ? std::nullopt : std::optional<T>(found->template get<T>());
}

template <typename T>
nlohmann::json number_or_null(const std::optional<T>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

}  // namespace galette
