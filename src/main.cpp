// SPDX-License-Identifier: Apache-2.0
// The program: starts MPI, picks the subcommand, and is the one place that catches. Errors that all
// ranks meet are told once; exit codes are those of base/exit_code.h.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string_view>

#include <CLI/CLI.hpp>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "base/exit_code.h"
#include "base/memory_use.h"
#include "cli/bench_command.h"
#include "cli/command.h"
#include "cli/convert_command.h"
#include "cli/dataset_command.h"
#include "cli/doctor_command.h"
#include "cli/documentation_commands.h"
#include "cli/generate_command.h"
#include "cli/info_command.h"
#include "cli/job_command.h"
#include "cli/metrics_command.h"
#include "cli/project_command.h"
#include "cli/report_command.h"
#include "cli/spectra_command.h"
#include "cli/train_command.h"
#include "cli/version.h"
#include "cli/video_command.h"
#include "io/check.h"
#include "kernels/cpu_isa.h"
#include "kernels/dispatch.h"
#include "parallel/mpi_session.h"
#include "training/preemption.h"

namespace galette {
namespace {

constexpr int kHelpColumn = 34;

/// The name of the subcommand that was being parsed, as typed after the program's name.
std::string parsed_command(const CLI::App& app) {
  std::string name = "galette";
  for (const CLI::App* sub : app.get_subcommands()) name += " " + sub->get_name();
  return name;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// `prints`: whether this is the rank that speaks.
int run(int argc, char** argv, bool prints) {
  CLI::App app("Trains CREPS and StyleGAN generators on supercomputers: one MPI rank per GPU.");
  app.name("galette");
  app.require_subcommand(0, 1);  // its absence is found below: a misspelt one deserves its name
  app.get_formatter()->column_width(kHelpColumn);
  app.footer(kExitCodesText);
  app.set_help_flag("-h,--help", "print this help and exit");
  app.set_version_flag("--version", version_text,
                       "print the versions of the program and its libraries and exit");
  Action action;
  add_bench_command(app, action);
  add_convert_command(app, action);
  add_dataset_command(app, action);
  add_doctor_command(app, action);
  add_generate_command(app, action);
  add_info_command(app, action);
  add_job_command(app, action);
  add_metrics_command(app, action);
  add_project_command(app, action);
  add_report_command(app, action);
  add_spectra_command(app, action);
  add_train_command(app, action);
  add_video_command(app, action);
  add_documentation_commands(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return prints ? app.exit(help_or_version) : kExitDone;
  } catch (const CLI::ParseError& error) {
    throw InputError(
        fmt::format("{} (see `{} --help`)", one_line(error.what()), parsed_command(app)));
  }
  if (!action) throw InputError("a subcommand is required (see `galette --help`)");
  if (const std::optional<std::string> error = kernel_path_error()) throw InputError(*error);
  if (const std::optional<std::string> error = cpu_isa_error()) throw InputError(*error);
  return action();
}

/// A request to stop must not kill a training run that is still starting: it is caught from the
/// first moment on. Other commands end by a signal as usual.
bool is_training(int argc, char** argv) {
  return argc > 1 && std::string_view(argv[1]) == "train";
}

int run_and_catch(int argc, char** argv, MpiSession& session) {
  try {
    return run(argc, argv, session.is_root());
  } catch (const InputError& error) {
    return session.fail(one_line(error.what()), kExitUsage);
  } catch (const c10::Error& error) {
    return session.fail(one_line(error.what_without_backtrace()), kExitError);
  } catch (const std::exception& error) {
    return session.fail(one_line(error.what()), kExitError);
  }
}

}  // namespace
}  // namespace galette

int main(int argc, char** argv) {
  std::optional<galette::PreemptionSignals> signals;
  if (galette::is_training(argc, argv)) signals.emplace();
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on the size of files is an error like a full disk
  galette::keep_freed_memory();
  try {
    if (galette::asks_for_documentation(argc, argv)) return galette::run(argc, argv, true);
    galette::MpiSession session(&argc, &argv);
    return galette::run_and_catch(argc, argv, session);
  } catch (const galette::InputError& error) {
    std::fprintf(stderr, "galette: %s\n", error.what());
    return galette::kExitUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "galette: %s\n", error.what());
    return galette::kExitError;
  }
}
