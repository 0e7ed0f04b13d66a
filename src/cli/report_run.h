// SPDX-License-Identifier: Apache-2.0
// A run directory as the page of a report takes it: one JSON object with `name`, `path`, `options`,
// `kimg` [T], `series` {name: {mean [T], std [T]}}, `metrics` {name: {kimg, value}}, `sheets`
// [{kimg, label, src}], `reals`, `starts`, `events` [{kimg, kind, text, times}], and `notes`, which
// say what is missing or damaged. Unknown numbers are null.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace galette {

struct SheetLimits {
  int count = 30;   ///< more are thinned out evenly; the first and the last stay
  int width = 960;  ///< pixels
};

/// Throws InputError when `folder` is not a folder, or holds nothing of a run. `temporary`: a file
/// name to use meanwhile.
nlohmann::ordered_json report_run(const std::string& folder, const SheetLimits& limits,
                                  const std::string& temporary);

/// What happened to a run, by its log.txt: restarts, warnings, faults, ends. Lines that repeat one
/// another are counted.
nlohmann::ordered_json run_events(const std::string& log_file);

/// fakes*.png and reals.png of a folder, made smaller, as `sheets` and `reals` of `run`.
void add_sheets(const std::string& folder, const SheetLimits& limits, const std::string& temporary,
                nlohmann::ordered_json& run);

}  // namespace galette
