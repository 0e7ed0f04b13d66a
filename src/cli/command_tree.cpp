// SPDX-License-Identifier: Apache-2.0
#include "cli/command_tree.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

namespace galette {
namespace {

bool is_lower_case(const std::string& word) {
  return std::none_of(word.begin(), word.end(), [](unsigned char c) { return std::isupper(c); });
}

/// The words of "creps|stylegan2"; of others, such as "INT >= 1" and "FLOAT|auto", those that stand
/// for themselves.
std::vector<std::string> choices_of(const std::string& type) {
  if (type == "BOOL") return {"0", "1"};
  std::vector<std::string> words;
  if (type.find('|') == std::string::npos) return words;
  for (size_t begin = 0; begin <= type.size();) {
    const size_t end = std::min(type.find('|', begin), type.size());
    const std::string word = type.substr(begin, end - begin);
    if (is_lower_case(word)) words.push_back(word);
    begin = end + 1;
  }
  return words;
}

OptionFacts facts_of(const CLI::Option& option) {
  OptionFacts facts;
  facts.is_positional = option.get_positional();
  for (const std::string& name : option.get_snames())
    facts.spellings.push_back(fmt::format("-{}", name));
  for (const std::string& name : option.get_lnames())
    facts.spellings.push_back(fmt::format("--{}", name));
  if (facts.is_positional) facts.spellings = {option.get_single_name()};
  if (option.get_items_expected_max() > 0) facts.type = option.get_type_name();
  facts.meaning = option.get_description();
  facts.choices = choices_of(facts.type);
  return facts;
}

void add_facts(const CLI::App& app, const std::string& path, std::vector<CommandFacts>& all) {
  CommandFacts facts{path, app.get_description(), {}, {}};
  for (const CLI::Option* option : app.get_options()) facts.options.push_back(facts_of(*option));
  const auto subcommands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* sub : subcommands) facts.subcommands.push_back(sub->get_name());
  all.push_back(std::move(facts));
  for (const CLI::App* sub : subcommands)
    add_facts(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), all);
}

}  // namespace

bool CommandFacts::has_positional() const {
  return std::any_of(options.begin(), options.end(),
                     [](const OptionFacts& option) { return option.is_positional; });
}

std::vector<CommandFacts> command_tree(const CLI::App& app) {
  std::vector<CommandFacts> all;
  add_facts(app, "", all);
  return all;
}

}  // namespace galette
