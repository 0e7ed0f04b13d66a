// SPDX-License-Identifier: Apache-2.0
#include "training/run_log.h"

#include <filesystem>
#include <fstream>

#include "base/log.h"
#include "io/file_util.h"
#include "io/together.h"

namespace galette {
namespace {

int64_t size_of(const std::string& path) {
  std::error_code missing;
  const auto size = std::filesystem::file_size(path, missing);
  return missing ? 0 : static_cast<int64_t>(size);
}

}  // namespace

RunLog::RunLog(const std::string& folder)
    : path_(folder + "/log.txt"), lost_path_(folder + "/log-lost.txt"), start_(size_of(path_)) {
  log::append_to(path_);
}

int64_t RunLog::size() const {
  return size_of(path_);
}

void RunLog::go_back_to(int64_t size, MPI_Comm comm) {
  log::close_file();
  io::on_root(comm, [&] { cut(size); });
  log::append_to(path_);
}

void RunLog::cut(int64_t size) {
  if (size >= start_) return;
  const std::vector<uint8_t> all = io::read_file(path_);
  std::ofstream(lost_path_, std::ios::app | std::ios::binary)
      .write(reinterpret_cast<const char*>(all.data()) + size, start_ - size);
  std::vector<uint8_t> kept(all.begin(), all.begin() + size);
  kept.insert(kept.end(), all.begin() + start_, all.end());
  io::write_file(path_, kept);
  start_ = size;
}

}  // namespace galette
