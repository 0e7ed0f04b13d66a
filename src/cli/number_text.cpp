// SPDX-License-Identifier: Apache-2.0
#include "cli/number_text.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "io/check.h"

namespace galette {
namespace {

constexpr size_t kMostNumbers = 10'000'000;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

template <typename T>
std::optional<T> parse(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <size_t N>
std::array<double, N> parse_doubles(const std::string& option, const std::string& text) {
  std::array<double, N> values{};
  const auto parts = split(text, ',');
  for (size_t i = 0; i < N; ++i) {
    const auto value = parts.size() == N ? parse<double>(parts[i]) : std::nullopt;
    if (!value || !std::isfinite(*value))
      throw InputError(
          fmt::format("--{}={}: give {} numbers with commas between", option, text, N));
    values[i] = *value;
  }
  return values;
}

}  // namespace

std::vector<uint32_t> parse_numbers(const std::string& option, const std::string& text,
                                    uint32_t most) {
  std::vector<uint32_t> numbers;
  for (const std::string_view part : split(text, ',')) {
    const auto ends = split(part, '-');
    const auto first = parse<uint64_t>(ends.front()), last = parse<uint64_t>(ends.back());
    if (ends.size() > 2 || !first || !last || *first > *last)
      throw InputError(fmt::format(
          "--{}={}: '{}' is no number or span; give a list such as 0,1,4-6", option, text, part));
    if (*last > most)
      throw InputError(fmt::format("--{}={}: {} is larger than {}", option, text, *last, most));
    if (numbers.size() + (*last - *first) >= kMostNumbers)
      throw InputError(fmt::format("--{}={}: more than {} numbers", option, text, kMostNumbers));
    for (uint64_t value = *first; value <= *last; ++value)
      numbers.push_back(static_cast<uint32_t>(value));
  }
  return numbers;
}

Extent parse_extent(const std::string& option, const std::string& text) {
  const auto parts = split(text, text.find('x') != std::string::npos ? 'x' : ',');
  const auto width = parse<int64_t>(parts.front()), height = parse<int64_t>(parts.back());
  if (parts.size() != 2 || !width || !height || *width < 1 || *height < 1)
    throw InputError(fmt::format("--{}={}: not a size; use WxH", option, text));
  return {*width, *height};
}

std::array<double, 2> parse_pair(const std::string& option, const std::string& text) {
  return parse_doubles<2>(option, text);
}

std::array<double, 4> parse_four(const std::string& option, const std::string& text) {
  return parse_doubles<4>(option, text);
}

}  // namespace galette
