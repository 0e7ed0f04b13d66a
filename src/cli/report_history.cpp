// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <optional>
#include <regex>
#include <vector>

#include "cli/report_run.h"

namespace galette {
namespace {

using nlohmann::ordered_json;

constexpr size_t kMostEvents = 500;  ///< the latest ones

/// What a line of log.txt is about; empty for those that tell of no event.
std::string kind_of(const std::string& line) {
  const auto has = [&](const char* text) { return line.find(text) != std::string::npos; };
  if (line.starts_with("warning: ")) return "warning";
  if (line.starts_with("galette: ") || has("asks this run to stop; ") ||
      has("restarts in a row came no further") || line.starts_with("gradients were not finite in "))
    return "fault";
  if (line.starts_with("Going on from ")) return "restart";
  if (line.starts_with("Stopped after ")) return "stop";
  if (line.starts_with("Done: ")) return "done";
  return "";
}

/// How far the run is, where a line says so.
std::optional<double> kimg_of(const std::string& line) {
  static const std::regex tick(R"(^tick \d+ +kimg ([\d.]+) .*)");
  static const std::regex start(R"(^Going on from .* at ([\d.]+) kimg\.$)");
  std::smatch found;
  if (line.starts_with("tick ") && std::regex_match(line, found, tick)) return std::stod(found[1]);
  if (line.starts_with("Going on ") && std::regex_match(line, found, start))
    return std::stod(found[1]);
  return std::nullopt;
}

}  // namespace

ordered_json run_events(const std::string& log_file) {
  std::vector<ordered_json> events;
  double kimg = 0;
  std::ifstream file(log_file);
  for (std::string line; std::getline(file, line);) {
    kimg = kimg_of(line).value_or(kimg);
    const std::string kind = kind_of(line);
    if (kind.empty()) continue;
    if (!events.empty() && kind != "restart" && events.back().at("text") == line) {
      events.back()["times"] = events.back().at("times").get<int>() + 1;
    } else {
      events.push_back({{"kimg", kimg}, {"kind", kind}, {"text", line}, {"times", 1}});
    }
  }
  if (events.size() > kMostEvents) events.erase(events.begin(), events.end() - kMostEvents);
  return events;
}

}  // namespace galette
