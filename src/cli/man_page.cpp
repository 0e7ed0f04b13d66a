// SPDX-License-Identifier: Apache-2.0
#include "cli/man_page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/exit_code.h"

namespace galette {
namespace {

constexpr const char* kEnvironment =
    ".TP\n\\fBGALETTE_\\fR\\fIOPTION\\fR\n"
    "A value for an option of \\fBgalette train\\fR that the command line does not give: "
    "GALETTE_BATCH_GPU for \\-\\-batch\\-gpu.\n"
    ".TP\n\\fBGALETTE_LOG_RANKS\\fR\n"
    "With the value \\fBall\\fR, every rank prints its lines, with its number before them.\n"
    ".TP\n\\fBOMP_NUM_THREADS\\fR\n"
    "Threads of a rank. Without it the ranks of a host share its cores.\n"
    ".TP\n\\fBSLURM_JOB_END_TIME\\fR\n"
    "When the job ends, in seconds since 1970: the default of \\-\\-time\\-limit.\n";

/// Text that roff takes for nothing else.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const bool starts_line = result.empty() || result.back() == '\n';
    if (starts_line && (c == '.' || c == '\'')) result += "\\&";
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      result += c;
    }
  }
  return result;
}

std::string bold(const std::string& text) {
  return fmt::format("\\fB{}\\fR", escaped(text));
}

std::string italic(const std::string& text) {
  return fmt::format("\\fI{}\\fR", escaped(text));
}

std::string option_entry(const OptionFacts& option) {
  std::string head;
  for (const std::string& spelling : option.spellings) {
    if (!head.empty()) head += ", ";
    head += option.is_positional ? italic(spelling) : bold(spelling);
  }
  if (option.takes_value() && !option.is_positional)
    head += fmt::format("={}", italic(option.type));
  return fmt::format(".TP\n{}\n{}\n", head, escaped(option.meaning));
}

std::string options_of(const CommandFacts& command) {
  std::string text;
  for (const OptionFacts& option : command.options) text += option_entry(option);
  return text;
}

std::string command_section(const CommandFacts& command) {
  std::string text =
      fmt::format(".SS \"galette {}\"\n{}.\n", escaped(command.path), escaped(command.meaning));
  if (!command.subcommands.empty())
    text += fmt::format("Its subcommands: {}.\n", fmt::join(command.subcommands, ", "));
  return text + options_of(command);
}

}  // namespace

std::string man_page(const std::vector<CommandFacts>& commands) {
  const CommandFacts& program = commands.front();
  std::string page = fmt::format(
      ".TH GALETTE 1 \"\" \"galette {}\" \"User Commands\"\n"
      ".SH NAME\ngalette \\- trains generators of images on clusters\n"
      ".SH SYNOPSIS\n\\fBgalette\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n.br\n"
      "\\fBmpirun\\fR \\-n \\fIRANKS\\fR \\fBgalette\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n"
      ".SH DESCRIPTION\n{}\n.PP\nThe commands: {}.\n.SH OPTIONS\n{}.SH COMMANDS\n",
      escaped(GALETTE_VERSION), escaped(program.meaning), fmt::join(program.subcommands, ", "),
      options_of(program));
  for (size_t k = 1; k < commands.size(); ++k) page += command_section(commands[k]);
  return page + ".SH ENVIRONMENT\n" + kEnvironment + ".SH EXIT STATUS\n.nf\n" +
         escaped(kExitCodesText) + "\n.fi\n.SH SEE ALSO\n.BR mpirun (1),\n.BR sbatch (1)\n";
}

}  // namespace galette
