// SPDX-License-Identifier: Apache-2.0
#include "training/run_log.h"

#include <filesystem>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "io/file_util.h"
#include "io/together.h"

namespace galette {
namespace {

constexpr std::string_view kStatusLine = "tick ";  // see format_status_line()

int64_t size_of(const std::string& path) {
  std::error_code missing;
  const auto size = std::filesystem::file_size(path, missing);
  return missing ? 0 : static_cast<int64_t>(size);
}

}  // namespace

RunLog::RunLog(const std::string& folder) : path_(folder + "/log.txt"), start_(size_of(path_)) {
  log::append_to(path_);
}

int64_t RunLog::size() const {
  return size_of(path_);
}

void RunLog::go_back_to(int64_t size, MPI_Comm comm) {
  log::close_file();
  io::on_root(comm, [&] { remove_ticks_after(size); });
  log::append_to(path_);
}

void RunLog::remove_ticks_after(int64_t size) const {
  if (size >= start_) return;
  const std::vector<uint8_t> bytes = io::read_file(path_);
  const std::string all(bytes.begin(), bytes.end());
  std::string kept = all.substr(0, static_cast<size_t>(size));
  std::istringstream later(all.substr(kept.size(), static_cast<size_t>(start_) - kept.size()));
  for (std::string line; std::getline(later, line);) {
    if (!line.starts_with(kStatusLine)) kept += line + '\n';
  }
  kept += all.substr(static_cast<size_t>(start_));
  io::write_file(path_, {reinterpret_cast<const uint8_t*>(kept.data()), kept.size()});
}

}  // namespace galette
