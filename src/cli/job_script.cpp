// SPDX-License-Identifier: Apache-2.0
#include "cli/job_script.h"

#include <algorithm>
#include <cctype>
#include <stdexcept>

#include <fmt/format.h>

#include "base/time_text.h"
#include "io/check.h"

namespace galette {
namespace {

/// Replaces what lies from `begin` up to `end`, both of which must be there.
void replace_part(std::string& script, std::string_view begin, std::string_view end,
                  const std::string& by) {
  const size_t first = script.find(begin);
  const size_t last = first == std::string::npos ? first : script.find(end, first + begin.size());
  if (last == std::string::npos) {
    throw std::logic_error(
        fmt::format("jobs/train.sbatch has no part from '{}' to '{}'", begin, end));
  }
  script.replace(first, last - first, by);
}

std::string resource_lines(const JobPlan& p) {
  std::string lines;
  const auto add = [&](const char* option, const auto& value) {
    lines += fmt::format("#SBATCH --{}={}\n", option, value);
  };
  const auto add_text = [&](const char* option, const std::string& value) {
    if (!value.empty()) add(option, value);
  };
  add("job-name", p.name);
  add("nodes", p.nodes);
  add("ntasks-per-node", p.ranks_per_node);
  if (p.has_gpus) add("gpus-per-node", p.ranks_per_node);
  add("cpus-per-task", p.cpus_per_rank);
  add("time", p.time);
  add_text("partition", p.partition);
  add_text("account", p.account);
  add_text("qos", p.qos);
  return lines;
}

/// The options, one a line, since a person will look at them.
std::string command_lines(const JobPlan& p) {
  std::string lines = fmt::format("run_dir={}\noptions=(\n", shell_quoted(p.run_dir));
  for (const std::string& option : p.options) lines += "  " + shell_quoted(option) + "\n";
  return lines + ")\n\n";
}

}  // namespace

std::string shell_quoted(const std::string& word) {
  const auto is_harmless = [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("-_=./,:+@%").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_harmless)) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

void check_job_time(const std::string& text) {
  const bool two_fields =
      text.find('-') == std::string::npos && std::count(text.begin(), text.end(), ':') == 1;
  const auto seconds = parse_duration(text);
  if (two_fields || !seconds || *seconds <= 0) {
    throw InputError(fmt::format(
        "--time={}: give minutes, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS, such as 24:00:00", text));
  }
}

std::string job_script(const JobPlan& plan) {
  std::string script(kTrainJob);
  replace_part(script, "#   sbatch --nodes=2", "#   GALETTE_SITE",
               "#   sbatch FILE      this file, which `galette job` wrote\n#\n# Variables:\n#\n"
               "#   GALETTE          the program, in place of the one named below\n");
  replace_part(script, "#SBATCH --job-name=", "#SBATCH --requeue", resource_lines(plan));
  replace_part(script, "#SBATCH --signal=", "#SBATCH --output",
               fmt::format("#SBATCH --signal=USR1@{}\n", plan.notice));
  replace_part(script, "\nprogram=", "\nsite=",
               fmt::format("\nprogram=${{GALETTE:-{}}}", shell_quoted(plan.program)));
  replace_part(script, "\nsite=", "\nif [ $# -eq 0 ]",
               fmt::format("\nsite=${{GALETTE_SITE:-{}}}",
                           plan.site.empty() ? "" : shell_quoted(plan.site)));
  replace_part(script, "if [ $# -eq 0 ]", "say() {", command_lines(plan));
  return script;
}

}  // namespace galette
