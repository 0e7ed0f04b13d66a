// SPDX-License-Identifier: Apache-2.0
#include "cli/report_run.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "io/check.h"

namespace galette {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// With six digits, which a curve cannot show better; null when it is no finite number.
ordered_json short_number(const ordered_json& value) {
  if (!value.is_number()) return nullptr;
  return std::strtod(fmt::format("{:.6g}", value.get<double>()).c_str(), nullptr);
}

ordered_json member(const ordered_json& object, const std::string& name) {
  return object.is_object() && object.contains(name) ? object.at(name) : ordered_json();
}

/// The lines that are objects; the others are counted in a note.
std::vector<ordered_json> json_lines(const fs::path& path, ordered_json& notes) {
  std::vector<ordered_json> rows;
  size_t broken = 0;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    ordered_json row = ordered_json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (row.is_object()) {
      rows.push_back(std::move(row));
    } else {
      ++broken;
    }
  }
  if (broken > 0)
    notes.push_back(fmt::format("{}: {} broken line{} left out", path.filename().string(), broken,
                                broken == 1 ? "" : "s"));
  return rows;
}

bool has_number(const std::vector<ordered_json>& rows, const std::string& name) {
  return std::any_of(rows.begin(), rows.end(), [&](const ordered_json& row) {
    return member(member(row, name), "mean").is_number();
  });
}

void add_statistics(const fs::path& folder, ordered_json& run) {
  const std::vector<ordered_json> rows = json_lines(folder / "stats.jsonl", run["notes"]);
  run["kimg"] = ordered_json::array();
  run["series"] = ordered_json::object();
  for (const ordered_json& row : rows)
    run["kimg"].push_back(short_number(member(member(row, "Progress/kimg"), "mean")));
  if (rows.empty()) {
    run["notes"].push_back("stats.jsonl has no rows yet: no curves");
    return;
  }
  for (const auto& item : rows.back().items()) {
    const std::string& name = item.key();
    if (!has_number(rows, name)) continue;
    ordered_json& series = run["series"][name];
    for (const ordered_json& row : rows) {
      const ordered_json value = member(row, name);
      series["mean"].push_back(short_number(member(value, "mean")));
      if (name.starts_with("Loss/")) series["std"].push_back(short_number(member(value, "std")));
    }
  }
}

void add_metrics(const fs::path& folder, ordered_json& run) {
  run["metrics"] = ordered_json::object();
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("metric-") && name.ends_with(".jsonl")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    std::vector<ordered_json> rows = json_lines(file, run["notes"]);
    const auto kimg = [](const ordered_json& row) { return member(row, "kimg"); };
    std::erase_if(rows, [&](const ordered_json& row) { return !kimg(row).is_number(); });
    std::stable_sort(rows.begin(), rows.end(), [&](const ordered_json& a, const ordered_json& b) {
      return kimg(a).get<double>() < kimg(b).get<double>();
    });
    for (const ordered_json& row : rows) {
      const ordered_json results = member(row, "results");
      for (const auto& [name, value] : results.items()) {
        run["metrics"][name]["kimg"].push_back(short_number(kimg(row)));
        run["metrics"][name]["value"].push_back(short_number(value));
      }
    }
  }
}

/// A file with one object; null, and a note where there should be one.
ordered_json json_file(const fs::path& path, ordered_json* notes) {
  std::ifstream file(path);
  ordered_json object = ordered_json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (object.is_object()) return object;
  if (notes != nullptr)
    notes->push_back(fmt::format("{} is {}", path.filename().string(),
                                 fs::exists(path) ? "damaged" : "missing"));
  return nullptr;
}

void check_folder(const fs::path& folder) {
  if (!fs::is_directory(folder))
    throw InputError(fmt::format("{}: is not a folder; give run directories", folder.string()));
  const char* const files[] = {"training_options.json", "stats.jsonl", "log.txt"};
  if (std::none_of(std::begin(files), std::end(files),
                   [&](const char* name) { return fs::exists(folder / name); }))
    throw InputError(
        fmt::format("{}: holds no run: neither training_options.json, stats.jsonl nor "
                    "log.txt is there",
                    folder.string()));
}

}  // namespace

ordered_json report_run(const std::string& folder, const SheetLimits& limits,
                        const std::string& temporary) {
  check_folder(folder);
  const fs::path whole = fs::weakly_canonical(folder);
  ordered_json run{
      {"name", whole.filename().string()}, {"path", folder}, {"notes", ordered_json::array()}};
  run["options"] = json_file(whole / "training_options.json", &run["notes"]);
  add_statistics(whole, run);
  add_metrics(whole, run);
  if (!fs::exists(whole / "log.txt")) run["notes"].push_back("log.txt is missing");
  run["events"] = run_events(whole / "log.txt");
  run["starts"] = member(json_file(whole / "restarts.json", nullptr), "starts");
  add_sheets(whole, limits, temporary, run);
  return run;
}

}  // namespace galette
