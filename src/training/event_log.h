// SPDX-License-Identifier: Apache-2.0
// The TensorBoard side of a run: an event for each row of stats.jsonl, with the means of all
// statistics, the metrics of the tick's snapshot as Metrics/<name>, and its sheet of images as
// `fakes`, made smaller. Steps are whole kimg. Each start of a run has its own file.
#pragma once

#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "io/event_file.h"

namespace galette {

class EventLog {
 public:
  /// Events of earlier starts whose rows are no longer in stats.jsonl are removed. On one rank.
  explicit EventLog(std::string folder);

  /// `row`: as in stats.jsonl. `sheet`: a PNG file that belongs to it, or empty.
  void add(const nlohmann::ordered_json& row, const std::string& sheet);

 private:
  std::string folder_;
  std::unique_ptr<io::EventFile> file_;
};

}  // namespace galette
