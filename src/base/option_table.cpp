// SPDX-License-Identifier: Apache-2.0
#include "base/option_table.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "io/check.h"

namespace galette {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const std::vector<std::string>& list) {
  return list;
}
template <typename T>
Json json_of(const T& value) {
  return value;
}
template <typename T>
Json json_of(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

/// A JSON value as a user writes it on the command line.
std::string plain(const Json& value) {
  if (value.is_null()) return "unset";
  if (value.is_string())
    return value.get<std::string>().empty() ? "none" : value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{:g}", value.get<double>());
  if (!value.is_array()) return value.dump();
  return value.empty() ? "none"
                       : fmt::format("{}", fmt::join(value.get<std::vector<std::string>>(), ","));
}

template <typename T>
std::string range_text(const Range<T>& range) {
  const bool low = range.min != Range<T>{}.min;
  const bool high = range.max != Range<T>{}.max;
  if (low && high) return fmt::format(" {} to {}", range.min, range.max);
  if (low) return fmt::format(" >= {}", range.min);
  return high ? fmt::format(" <= {}", range.max) : "";
}

int64_t parse_number(const std::string& text, int64_t /*type*/) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) throw InputError("not an integer");
  return value;
}

double parse_number(const std::string& text, double /*type*/) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    throw InputError("not a number");
  }
  return value;
}

template <typename T>
T parse_in_range(const std::string& text, const Range<T>& range) {
  const T value = parse_number(text, T{});
  if (value < range.min || value > range.max) {
    throw InputError("must be" + range_text(range));
  }
  return value;
}

bool parse_bool(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (text == "1" || text == "true" || text == "yes") return true;
  if (text == "0" || text == "false" || text == "no") return false;
  throw InputError("must be one of 0, 1, true, false, yes, no");
}

std::string parse_choice(const std::string& text, const std::vector<std::string>& choices) {
  if (!choices.empty() && std::find(choices.begin(), choices.end(), text) == choices.end()) {
    throw InputError(fmt::format("'{}' is not one of {}", text, fmt::join(choices, ", ")));
  }
  return text;
}

std::vector<std::string> parse_list(const std::string& text,
                                    const std::function<void(const std::string&)>& check) {
  std::vector<std::string> list;
  if (text.empty() || text == "none") return list;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    list.push_back(text.substr(begin, end - begin));
    check(list.back());
    begin = end + 1;
  }
  return list;
}

std::string choice_type(const std::vector<std::string>& choices, const char* otherwise) {
  return choices.empty() ? otherwise : fmt::format("{}", fmt::join(choices, "|"));
}

}  // namespace

OptionTable::Row& OptionTable::Row::required() {
  is_required_ = true;
  return *this;
}

OptionTable::Row& OptionTable::Row::default_text(std::string text) {
  default_value_ = std::move(text);
  return *this;
}

OptionTable::Row& OptionTable::Row::alias(const std::string& spelling) {
  aliases_ += spelling + ",";
  return *this;
}

template <typename T, typename Parse>
OptionTable::Row& OptionTable::add_row(const std::string& name, Defines defines, T& value,
                                       std::string type, const std::string& meaning,
                                       const Parse& parse) {
  Row& row = rows_.emplace_back();
  row.name_ = name;
  row.type_ = std::move(type);
  row.meaning_ = meaning;
  row.defines_ = defines;
  row.value_ = [&value] { return json_of(value); };
  row.initial_ = row.value_();
  row.default_value_ = plain(row.initial_);
  row.parse_ = [&value, &row, parse, name](const std::string& text) {
    try {
      value = parse(text);
      row.is_given_ = true;
    } catch (const InputError& error) {
      throw InputError(fmt::format("--{}={}: {}", name, text, error.what()));
    }
  };
  return row;
}

OptionTable::Row& OptionTable::add(const std::string& name, Defines defines, int64_t& value,
                                   const std::string& meaning, Range<int64_t> range) {
  return add_row(name, defines, value, "INT" + range_text(range), meaning,
                 [range](const std::string& text) { return parse_in_range(text, range); });
}

OptionTable::Row& OptionTable::add(const std::string& name, Defines defines,
                                   std::optional<int64_t>& value, const std::string& meaning,
                                   Range<int64_t> range) {
  return add_row(name, defines, value, "INT" + range_text(range), meaning,
                 [range](const std::string& text) { return parse_in_range(text, range); });
}

OptionTable::Row& OptionTable::add(const std::string& name, Defines defines, double& value,
                                   const std::string& meaning, Range<double> range) {
  return add_row(name, defines, value, "FLOAT" + range_text(range), meaning,
                 [range](const std::string& text) { return parse_in_range(text, range); });
}

OptionTable::Row& OptionTable::add(const std::string& name, Defines defines,
                                   std::optional<double>& value, const std::string& meaning,
                                   Range<double> range) {
  return add_row(name, defines, value, "FLOAT" + range_text(range), meaning,
                 [range](const std::string& text) { return parse_in_range(text, range); });
}

OptionTable::Row& OptionTable::add_or_auto(const std::string& name, Defines defines,
                                           std::optional<double>& value, const std::string& meaning,
                                           Range<double> range) {
  return add_row(name, defines, value, "FLOAT" + range_text(range) + "|auto", meaning,
                 [range](const std::string& text) {
                   if (text == "auto") return std::optional<double>();
                   return std::optional<double>(parse_in_range(text, range));
                 });
}

OptionTable::Row& OptionTable::add(const std::string& name, Defines defines, bool& value,
                                   const std::string& meaning) {
  return add_row(name, defines, value, "BOOL", meaning, parse_bool);
}

OptionTable::Row& OptionTable::add(const std::string& name, Defines defines, std::string& value,
                                   const std::string& meaning, std::vector<std::string> choices) {
  std::string type = choice_type(choices, "TEXT");
  return add_row(name, defines, value, std::move(type), meaning,
                 [choices = std::move(choices)](const std::string& text) {
                   return parse_choice(text, choices);
                 });
}

OptionTable::Row& OptionTable::add_list(const std::string& name, Defines defines,
                                        std::vector<std::string>& value, const std::string& meaning,
                                        std::vector<std::string> choices) {
  return add_checked_list(
      name, defines, value, meaning,
      [choices = std::move(choices)](const std::string& word) { parse_choice(word, choices); });
}

OptionTable::Row& OptionTable::add_checked_list(const std::string& name, Defines defines,
                                                std::vector<std::string>& value,
                                                const std::string& meaning,
                                                std::function<void(const std::string&)> check) {
  return add_row(
      name, defines, value, "LIST", meaning,
      [check = std::move(check)](const std::string& text) { return parse_list(text, check); });
}

OptionTable::Row& OptionTable::add_flag(const std::string& name, bool& value,
                                        const std::string& meaning) {
  Row& row = add_row(name, Defines::nothing, value, "", meaning, parse_bool);
  row.is_flag_ = true;
  return row;
}

void OptionTable::add_to(CLI::App& app, Sources sources) {
  for (Row& row : rows_) {
    const std::string spellings = row.aliases_ + "--" + row.name_;
    if (row.is_flag_) {
      app.add_flag_function(
          spellings, [&row](int64_t) { row.parse_("1"); }, row.meaning_);
      continue;
    }
    const std::string ending =
        row.is_required_ ? " (required)" : fmt::format(" (default: {})", row.default_value_);
    CLI::Option* option = app.add_option(
        spellings,
        [&row](const CLI::results_t& values) {
          row.parse_(values.back());
          return true;
        },
        row.meaning_ + ending);
    option->type_name(row.type_)->expected(1)->take_last();
    if (row.is_required_ && sources == Sources::command_line) option->required();
  }
}

bool OptionTable::is_given(const std::string& name) const {
  return std::any_of(rows_.begin(), rows_.end(),
                     [&](const Row& r) { return r.name_ == name && r.is_given_; });
}

OptionTable::Row* OptionTable::find(const std::string& name) {
  const auto row =
      std::find_if(rows_.begin(), rows_.end(), [&](const Row& r) { return r.name_ == name; });
  return row == rows_.end() ? nullptr : &*row;
}

Json OptionTable::to_json() const {
  Json all = Json::object();
  for (const Row& row : rows_) {
    if (!row.is_flag_) all[row.name_] = row.value_();
  }
  return all;
}

std::vector<std::string> OptionTable::differences(const Json& other) const {
  std::vector<std::string> texts;
  for (const Row& row : rows_) {
    if (row.defines_ == Defines::nothing) continue;
    const Json here = row.value_();
    const Json there = other.contains(row.name_) ? other[row.name_] : row.initial_;
    if (here == there) continue;
    texts.push_back(fmt::format("--{} ({} there, {} here)", row.name_, plain(there), plain(here)));
  }
  return texts;
}

}  // namespace galette
