// SPDX-License-Identifier: Apache-2.0
// Files of one JSON object per line. Numbers that JSON cannot express (NaN, infinity) become null.
#pragma once

#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

namespace galette::io {

class JsonLines {
 public:
  /// Opens for appending; makes the file when there is none. Throws InputError when it cannot.
  explicit JsonLines(const std::string& path);
  /// Writes one line and hands it to the operating system. Throws std::runtime_error on failure;
  /// the file then ends with an earlier line, and the next call writes this one too.
  void append(const nlohmann::ordered_json& object);

 private:
  std::string path_;
  std::ofstream file_;
  std::string unwritten_;  ///< lines that are not in the file yet
};

/// Cuts the file before its first line that is incomplete or whose number at `pointer` (a JSON
/// pointer such as "/Progress~1tick/mean") exceeds `last`. Returns how many lines went. A file that
/// does not exist is left so. A line without a number there is kept.
int64_t truncate_after(const std::string& path, const std::string& pointer, double last);

}  // namespace galette::io
