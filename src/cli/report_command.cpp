// SPDX-License-Identifier: Apache-2.0
#include "cli/report_command.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "cli/report_page.h"
#include "cli/report_run.h"
#include "io/check.h"
#include "io/file_util.h"
#include "io/together.h"

namespace galette {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct ReportOptions {
  std::vector<std::string> runs;
  std::string out;
  SheetLimits sheets;
  bool force = false;
};

/// In a script element of a page, where `<` could end the element.
std::string script_text(const ordered_json& data) {
  const std::string text = data.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  std::string safe;
  for (const char c : text) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

/// Names of several runs with the same last folder say more of their paths.
void tell_apart(ordered_json& runs) {
  const auto count = [&](const std::string& name) {
    return std::count_if(runs.begin(), runs.end(),
                         [&](const ordered_json& run) { return run.at("name") == name; });
  };
  std::vector<size_t> alike;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (count(runs[i].at("name")) > 1) alike.push_back(i);
  }
  for (const size_t i : alike) runs[i]["name"] = runs[i].at("path");
}

void report(const ReportOptions& o) {
  if (!o.force && fs::exists(o.out))
    throw InputError(fmt::format("--out={}: exists already; choose another or add --force", o.out));
  io::write_file(o.out + ".part", {});  // shows now whether the place is writable
  fs::remove(o.out + ".part");
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  ordered_json data{{"made", fmt::format("{:%Y-%m-%d %H:%M}", fmt::localtime(now))},
                    {"version", GALETTE_VERSION},
                    {"runs", ordered_json::array()}};
  for (const std::string& run : o.runs) {
    data["runs"].push_back(report_run(run, o.sheets, o.out + ".sheet"));
    for (const auto& note : data["runs"].back().at("notes"))
      log::warning("{}: {}", run, note.get<std::string>());
  }
  tell_apart(data["runs"]);
  constexpr std::string_view kMark = "{{data}}";
  std::string page(kReportPage);
  page.replace(page.find(kMark), kMark.size(), script_text(data));
  io::write_file(o.out, {reinterpret_cast<const uint8_t*>(page.data()), page.size()});
  log::info("{} ({:.1f} MB)", o.out, static_cast<double>(page.size()) / 1e6);
}

}  // namespace

void add_report_command(CLI::App& app, Action& action) {
  CLI::App* sub =
      app.add_subcommand("report", "Shows curves, images and history of runs in one HTML file");
  auto options = std::make_shared<ReportOptions>();
  sub->add_option("RUN_DIR", options->runs, "run directories; several are compared")->required();
  sub->add_option("--out", options->out, "file to write, *.html")->required();
  sub->add_option("--sheets", options->sheets.count, "sheets of images of a run, at most")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  sub->add_option("--sheet-width", options->sheets.width, "pixels of a sheet, at most")
      ->check(CLI::Range(64, 8192))
      ->capture_default_str();
  sub->add_flag("--force", options->force, "replace a file that exists");
  sub->callback([options, &action] {
    action = [options] {
      io::on_root(MPI_COMM_WORLD, [&] { report(*options); });
      return kExitDone;
    };
  });
}

}  // namespace galette
