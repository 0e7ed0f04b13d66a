// SPDX-License-Identifier: Apache-2.0
#include "cli/shell_completion.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace galette {
namespace {

// What does not depend on the commands. bash takes "=" for a word of its own, so that a value may
// be the word itself, or follow "=" or the option. After "--" another command may begin.
constexpr const char* kBashFunction = R"(_galette() {
  local current=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD-1]} command= words= i word
  for ((i = 1; i < COMP_CWORD; ++i)); do
    word=${COMP_WORDS[i]}
    if [[ $word == -- ]]; then command=; continue; fi
    if _galette_is_command "${command:+$command }$word"; then command=${command:+$command }$word; fi
  done
  if [[ $option == = ]]; then
    option=${COMP_WORDS[COMP_CWORD-2]}
  elif [[ $current == = ]]; then
    current=
  elif ! _galette_takes_value "$command $option"; then
    option=
  fi
  if [[ -n $option ]]; then
    _galette_values "$command $option"
  else
    _galette_words "$command" "$current"
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -o default -F _galette galette
)";

std::string quoted(const std::string& text) {
  return fmt::format("'{}'", text);
}

/// What may follow a command: its subcommands and options; with `=` after those with a value.
std::string words_after(const CommandFacts& command) {
  std::vector<std::string> words = command.subcommands;
  for (const OptionFacts& option : command.options) {
    if (option.is_positional) continue;
    words.push_back(option.spellings.back() + (option.takes_value() ? "=" : ""));
  }
  return fmt::format("{}", fmt::join(words, " "));
}

/// The words of a positional argument; without any, a name of a file is expected there.
std::string positional_words(const CommandFacts& command) {
  for (const OptionFacts& option : command.options)
    if (option.is_positional) return fmt::format("{}", fmt::join(option.choices, " "));
  return "";
}

std::string bash_words(const std::vector<CommandFacts>& commands) {
  std::string text = "_galette_words() {\n  case $1:$2 in\n";
  for (const CommandFacts& c : commands) {
    text += fmt::format("    {}-*) words={} ;;\n", quoted(c.path + ":"), quoted(words_after(c)));
    text += fmt::format("    {}*) words={} ;;\n", quoted(c.path + ":"),
                        quoted(c.has_positional() ? positional_words(c) : words_after(c)));
  }
  return text + "  esac\n}\n";
}

std::string bash_is_command(const std::vector<CommandFacts>& commands) {
  std::vector<std::string> paths;
  for (const CommandFacts& c : commands)
    if (!c.path.empty()) paths.push_back(quoted(c.path));
  return fmt::format(
      "_galette_is_command() {{\n  case $1 in\n    {}) ;;\n    *) false ;;\n"
      "  esac\n}}\n",
      fmt::join(paths, "|"));
}

std::string bash_options(const std::vector<CommandFacts>& commands) {
  std::string takes_value = "_galette_takes_value() {\n  case $1 in\n";
  std::string values = "_galette_values() {\n  case $1 in\n";
  for (const CommandFacts& c : commands) {
    for (const OptionFacts& option : c.options) {
      if (option.is_positional || !option.takes_value()) continue;
      const std::string key = quoted(c.path + " " + option.spellings.back());
      takes_value += fmt::format("    {}) ;;\n", key);
      if (!option.choices.empty())
        values += fmt::format("    {}) words='{}' ;;\n", key, fmt::join(option.choices, " "));
    }
  }
  return takes_value + "    *) false ;;\n  esac\n}\n" + values + "  esac\n}\n";
}

/// Text inside single quotes and inside the parts of an argument of _arguments.
std::string zsh_text(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '\'') {
      result += "'\\''";
    } else if (c == '[' || c == ']' || c == ':' || c == '\\') {
      result += std::string("\\") + c;
    } else {
      result += c;
    }
  }
  return result;
}

std::string zsh_values(const OptionFacts& option) {
  return option.choices.empty() ? "_files" : fmt::format("({})", fmt::join(option.choices, " "));
}

std::string zsh_argument(const OptionFacts& option) {
  if (option.is_positional)
    return fmt::format(" \\\n      '*:{}:{}'", zsh_text(option.meaning), zsh_values(option));
  const std::string head = fmt::format(" \\\n      '{}{}[{}]", option.spellings.back(),
                                       option.takes_value() ? "=" : "", zsh_text(option.meaning));
  if (!option.takes_value()) return head + "'";
  return fmt::format("{}:{}:{}'", head, zsh_text(option.type), zsh_values(option));
}

/// `depth`: words of the command, which are taken off before its arguments are looked at.
std::string zsh_command(const CommandFacts& command, const std::vector<CommandFacts>& all) {
  const auto depth =
      command.path.empty() ? 0 : std::count(command.path.begin(), command.path.end(), ' ') + 1;
  std::string body;
  if (command.subcommands.empty()) {
    body = fmt::format("    shift {0} words\n    ((CURRENT -= {0}))\n    _arguments", depth);
    for (const OptionFacts& option : command.options) body += zsh_argument(option);
  } else {
    body = "    subcommands=(";
    for (const std::string& name : command.subcommands) {
      const std::string path = command.path.empty() ? name : command.path + " " + name;
      const auto found = std::find_if(all.begin(), all.end(),
                                      [&](const CommandFacts& c) { return c.path == path; });
      body += fmt::format(" \\\n      '{}:{}'", name, zsh_text(found->meaning));
    }
    body += ")\n    _describe command subcommands";
  }
  return fmt::format(
      "  if [[ \"${{words[2,{}]}}\" == '{}' ]] && ((CURRENT > {})); then\n{}\n"
      "    return\n  fi\n",
      depth + 1, command.path, depth + 1, body);
}

}  // namespace

std::string bash_completion(const std::vector<CommandFacts>& commands) {
  return "# bash completion for galette\n" + bash_words(commands) + bash_is_command(commands) +
         bash_options(commands) + kBashFunction;
}

std::string zsh_completion(const std::vector<CommandFacts>& commands) {
  std::string text = "#compdef galette\n_galette() {\n  local -a subcommands\n";
  for (auto command = commands.rbegin(); command != commands.rend(); ++command)
    text += zsh_command(*command, commands);
  return text +
         "}\nif [[ ${funcstack[1]-} == _galette ]]; then\n  _galette \"$@\"\nelse\n"
         "  compdef _galette galette\nfi\n";
}

}  // namespace galette
