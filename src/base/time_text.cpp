// SPDX-License-Identifier: Apache-2.0
#include "base/time_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <vector>

#include <fmt/format.h>

namespace galette {
namespace {

constexpr int64_t kMostDigits = 7;  // sums of seconds stay far from overflow

std::optional<int64_t> parse_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  const bool good = error == std::errc() && end == text.end() && value >= 0;
  return good && text.size() <= kMostDigits ? std::optional(value) : std::nullopt;
}

/// The numbers between colons; empty when one is not a number.
std::vector<int64_t> parse_fields(std::string_view text) {
  std::vector<int64_t> fields;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(':', begin), text.size());
    const auto field = parse_number(text.substr(begin, end - begin));
    if (!field) return {};
    fields.push_back(*field);
    begin = end + 1;
  }
  return fields;
}

}  // namespace

std::string format_duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e15) return "?";
  const auto s = static_cast<int64_t>(std::llround(seconds));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m {:02}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h {:02}m {:02}s", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}d {:02}h {:02}m", s / 86400, s / 3600 % 24, s / 60 % 60);
}

std::optional<double> parse_duration(std::string_view text) {
  const size_t dash = text.find('-');
  const bool has_days = dash != std::string_view::npos;
  const bool minutes_only = !has_days && text.find(':') == std::string_view::npos;
  const auto days = has_days ? parse_number(text.substr(0, dash)) : 0;
  std::vector<int64_t> fields = parse_fields(has_days ? text.substr(dash + 1) : text);
  if (!days || fields.empty() || fields.size() > 3) return std::nullopt;
  if (minutes_only) fields.insert(fields.begin(), 0);
  fields.resize(3, 0);
  const bool overflow =
      (has_days && fields[0] >= 24) || (!minutes_only && fields[1] >= 60) || fields[2] >= 60;
  if (overflow) return std::nullopt;
  return static_cast<double>(((*days * 24 + fields[0]) * 60 + fields[1]) * 60 + fields[2]);
}

}  // namespace galette
