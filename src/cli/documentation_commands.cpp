// SPDX-License-Identifier: Apache-2.0
#include "cli/documentation_commands.h"

#include <memory>
#include <string_view>

#include <fmt/format.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "cli/man_page.h"
#include "cli/shell_completion.h"
#include "io/check.h"

namespace galette {
namespace {

int print(std::string text) {
  text.pop_back();  // the log ends its lines itself
  log::info("{}", text);
  return kExitDone;
}

int print_completion(const CLI::App& app, const std::string& shell) {
  if (shell == "bash") return print(bash_completion(command_tree(app)));
  if (shell == "zsh") return print(zsh_completion(command_tree(app)));
  throw InputError(fmt::format("completion {}: give bash or zsh", shell));
}

}  // namespace

void add_documentation_commands(CLI::App& app, Action& action) {
  CLI::App* man = app.add_subcommand("man", "Prints the manual page of all commands");
  man->callback([&] { action = [&] { return print(man_page(command_tree(app))); }; });

  CLI::App* completion = app.add_subcommand(
      "completion", "Prints a script that completes commands and options in a shell");
  auto shell = std::make_shared<std::string>();
  completion->add_option("SHELL", *shell, "bash or zsh")->required()->type_name("bash|zsh");
  completion->callback(
      [&, shell] { action = [&, shell] { return print_completion(app, *shell); }; });
}

bool asks_for_documentation(int argc, char** argv) {
  if (argc < 2) return false;
  const std::string_view command = argv[1];
  return command == "man" || command == "completion";
}

}  // namespace galette
