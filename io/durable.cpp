// SPDX-License-Identifier: Apache-2.0
#include "io/durable.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace galette::io {
namespace {

void check(bool ok, const char* what, const std::string& path) {
  if (!ok) throw std::runtime_error(fmt::format("{}: {}: {}", path, what, std::strerror(errno)));
}

}  // namespace

void sync_path(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  check(descriptor >= 0, "cannot be opened to sync it", path);
  const int status = ::fsync(descriptor);
  const int reason = errno;
  ::close(descriptor);
  errno = reason;
  check(status == 0, "cannot be synced", path);
}

void replace_durably(const std::string& temporary, const std::string& path) {
  sync_path(temporary);
  check(std::rename(temporary.c_str(), path.c_str()) == 0, "cannot be put in place", path);
  sync_path(parent_folder(path));
}

uint64_t free_bytes(const std::string& folder) {
  struct statvfs state {};
  check(::statvfs(folder.c_str(), &state) == 0, "cannot be asked for its free space", folder);
  return uint64_t{state.f_bavail} * state.f_frsize;
}

std::string parent_folder(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

TemporaryFile::~TemporaryFile() {
  if (!kept_) ::unlink(path_.c_str());
}

}  // namespace galette::io
