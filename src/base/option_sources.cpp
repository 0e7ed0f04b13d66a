// SPDX-License-Identifier: Apache-2.0
// Where options come from besides the command line: the environment and a TOML file.
#include <cctype>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "base/option_table.h"
#include "io/check.h"

namespace galette {
namespace {

/// GALETTE_BATCH_GPU for batch-gpu.
std::string variable_of(const std::string& option) {
  std::string name = "GALETTE_";
  for (const char c : option) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

[[noreturn]] void refuse(const std::string& place, const std::string& why) {
  throw InputError(fmt::format("{}: {}", place, why));
}

/// A TOML value as it would stand on the command line.
std::string text_of(const toml::node& node, const std::string& place) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto number = node.value_exact<int64_t>()) return std::to_string(*number);
  if (const auto number = node.value_exact<double>()) return fmt::format("{}", *number);
  if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  const toml::array* list = node.as_array();
  if (list == nullptr) refuse(place, "must be a text, a number, a truth value or a list of texts");
  std::string all;
  for (const toml::node& item : *list) {
    all += (all.empty() ? "" : ",") + text_of(item, place);
  }
  return all;
}

toml::table parsed_file(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) refuse("--config=" + path, "no such file");
  try {
    return toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    refuse(fmt::format("--config={}:{}", path, error.source().begin.line),
           fmt::format("is not TOML: {}", error.description()));
  }
}

}  // namespace

void OptionTable::finish(const std::string& file_option) {
  read_environment();
  const std::string path = find(file_option)->value_().get<std::string>();
  if (!path.empty()) read_file(path);
  require(file_option);
}

void OptionTable::read_environment() {
  for (Row& row : rows_) {
    const std::string variable = variable_of(row.name_);
    const char* text = std::getenv(variable.c_str());
    if (row.is_given_ || text == nullptr) continue;
    try {
      row.parse_(text);
    } catch (const InputError& error) {
      throw InputError(
          fmt::format("{} (from the environment variable {})", error.what(), variable));
    }
  }
}

void OptionTable::read_file(const std::string& path) {
  for (const auto& [key, node] : parsed_file(path)) {
    const std::string name(key.str());
    const std::string place = fmt::format("--config={}:{}", path, node.source().begin.line);
    Row* row = find(name);
    if (row == nullptr) refuse(place, fmt::format("there is no option '{}'", name));
    if (row->is_given_) continue;
    try {
      row->parse_(text_of(node, place));
    } catch (const InputError& error) {
      throw InputError(
          fmt::format("{} (from {}:{})", error.what(), path, node.source().begin.line));
    }
  }
}

void OptionTable::require(const std::string& file_option) const {
  for (const Row& row : rows_) {
    if (row.is_required_ && !row.is_given_) {
      throw InputError(
          fmt::format("--{} is required: give it on the command line, as {}, or in the file of "
                      "--{}",
                      row.name_, variable_of(row.name_), file_option));
    }
  }
}

}  // namespace galette
