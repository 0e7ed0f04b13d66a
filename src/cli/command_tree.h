// SPDX-License-Identifier: Apache-2.0
// All commands and options as the parser knows them, for the manual and for shells.
#pragma once

#include <string>
#include <vector>

#include <CLI/App.hpp>

namespace galette {

struct OptionFacts {
  std::vector<std::string> spellings;  ///< "-n", "--dry-run"; the bare name of a positional
  std::string type;                    ///< "INT >= 1", "creps|stylegan2"; empty for flags
  std::string meaning;                 ///< with default
  std::vector<std::string> choices;  ///< the words that it takes, where the type is a list of them
  bool is_positional = false;

  bool takes_value() const { return !type.empty(); }
};

struct CommandFacts {
  std::string path;  ///< "bench step"; empty for the program itself
  std::string meaning;
  std::vector<OptionFacts> options;
  std::vector<std::string> subcommands;  ///< their last names

  bool has_positional() const;
};

/// The program and all its commands, each before its subcommands.
std::vector<CommandFacts> command_tree(const CLI::App& app);

}  // namespace galette
