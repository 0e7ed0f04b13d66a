// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <cstdlib>
#include <string_view>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "io/check.h"

namespace galette::log {
namespace {

struct State {
  spdlog::logger out{"galette", std::make_shared<spdlog::sinks::stdout_sink_mt>()};
  spdlog::logger err{"galette", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  std::function<void()> before_line;
  bool speaks = true;

  State() { set_pattern("%v"); }
  void set_pattern(const std::string& pattern) {
    for (spdlog::logger* logger : {&out, &err}) {
      logger->set_pattern(pattern);
      logger->flush_on(spdlog::level::trace);
    }
    this->pattern = pattern;
  }
  void say(spdlog::logger& logger, const std::string& line) {
    if (!speaks) return;
    if (before_line) before_line();
    logger.log(spdlog::level::info, spdlog::string_view_t(line));
  }
  std::string pattern;
};

State& state() {
  static State instance;
  return instance;
}

}  // namespace

void set_rank(int rank) {
  const char* setting = std::getenv("GALETTE_LOG_RANKS");
  const bool all = setting != nullptr && std::string_view(setting) == "all";
  state().speaks = rank == 0 || all;
  state().set_pattern(all ? fmt::format("[rank {}] %v", rank) : "%v");
}

bool speaks() {
  return state().speaks;
}

void append_to(const std::string& path) {
  close_file();
  if (!speaks()) return;
  std::shared_ptr<spdlog::sinks::sink> sink;
  try {
    sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
  } catch (const spdlog::spdlog_ex& error) {
    throw InputError(path + ": cannot be opened for the log (" + error.what() + ")");
  }
  sink->set_pattern(state().pattern);
  state().out.sinks().push_back(sink);
  state().err.sinks().push_back(sink);
}

void close_file() {
  state().out.sinks().resize(1);
  state().err.sinks().resize(1);
}

void set_before_line(std::function<void()> action) {
  state().before_line = std::move(action);
}

void info_line(const std::string& line) {
  state().say(state().out, line);
}
void warning_line(const std::string& line) {
  state().say(state().err, "warning: " + line);
}
void error_line(const std::string& line) {
  state().say(state().err, line);
}

}  // namespace galette::log
