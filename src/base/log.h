// SPDX-License-Identifier: Apache-2.0
// The program's voice: plain lines on stdout (warnings and errors on stderr), and from some moment
// on also appended to a file. Rank 0 speaks; with GALETTE_LOG_RANKS=all the others do too, each
// line prefixed by `[rank N]`.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace galette::log {

/// Says which rank this process is; until then it speaks as rank 0.
void set_rank(int rank);
/// Whether lines of this rank go anywhere.
bool speaks();
/// Appends all later lines to a file as well. Throws InputError when it cannot be opened.
void append_to(const std::string& path);
/// Ends append_to().
void close_file();
/// Called before each line, so that a progress bar can leave the terminal's last line.
void set_before_line(std::function<void()> action);

void info_line(const std::string& line);
void warning_line(const std::string& line);
void error_line(const std::string& line);

template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (speaks()) info_line(fmt::format(format, std::forward<Args>(args)...));
}
/// Prefixed by `warning: `.
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  if (speaks()) warning_line(fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  if (speaks()) error_line(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace galette::log
