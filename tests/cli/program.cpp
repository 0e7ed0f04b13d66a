// SPDX-License-Identifier: Apache-2.0
#include "tests/cli/program.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <sys/wait.h>

#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string replaced(std::string text, char mark, const std::string& by) {
  for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + by.size())) {
    text.replace(at, 1, by);
  }
  return text;
}

}  // namespace

std::string clean_environment() {
  std::string text =
      "env -i HOME=/tmp OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
      "OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl_vader_single_copy_mechanism=none "
      "OMPI_MCA_odls_base_sigkill_timeout=0 ";
  for (const char* name : {"PATH", "LD_LIBRARY_PATH", "TMPDIR"}) {
    if (const char* value = std::getenv(name)) text += std::string(name) + "='" + value + "' ";
  }
  return text;
}

std::string Outcome::complaint() const {
  const std::string prefix = "galette: ";
  std::istringstream lines(err);
  std::string all, line;
  while (std::getline(lines, line)) {
    if (line.starts_with(prefix)) all += line.substr(prefix.size()) + "\n";
  }
  return all;
}

int Outcome::complaints() const {
  const std::string text = complaint();
  return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

Outcome run_mpirun(const std::string& arguments, const std::string& variables, int timeout) {
  const TempDir dir;
  const std::string command = "timeout " + std::to_string(timeout) + " " + clean_environment() +
                              variables + " " + GALETTE_MPIRUN + " " +
                              replaced(arguments, '@', GALETTE_PROGRAM) + " > " + dir.file("out") +
                              " 2> " + dir.file("err") + " < /dev/null";
  const auto start = std::chrono::steady_clock::now();
  const int status = std::system(command.c_str());
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, contents(dir.file("out")),
          contents(dir.file("err")), elapsed.count()};
}

Outcome run_program(int ranks, const std::string& arguments, const std::string& variables,
                    int timeout) {
  return run_mpirun("-n " + std::to_string(ranks) + " @ " + arguments, variables, timeout);
}

}  // namespace galette::testing
