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

#include "io/descriptor.h"

namespace galette::io {
namespace {

void check(bool ok, const char* what, const std::string& path) {
  if (!ok) throw std::runtime_error(fmt::format("{}: {}: {}", path, what, std::strerror(errno)));
}

}  // namespace

void sync_path(const std::string& path) {
  const Descriptor file(path, O_RDONLY);
  check(::fsync(file.id()) == 0, "cannot be synced", path);
}

void rename_durably(const std::string& temporary, const std::string& path) {
  check(std::rename(temporary.c_str(), path.c_str()) == 0, "cannot be put in place", path);
  sync_path(parent_folder(path));
}

void replace_durably(const std::string& temporary, const std::string& path) {
  sync_path(temporary);
  rename_durably(temporary, path);
}

void link_durably(const std::string& file, const std::string& path) {
  // A rename onto a name of the same file would leave the temporary.
  const TemporaryFile temporary(path + ".tmp");
  std::error_code error;
  std::filesystem::remove(temporary.path(), error);
  std::filesystem::create_hard_link(file, temporary.path(), error);
  if (error) std::filesystem::copy_file(file, temporary.path());
  replace_durably(temporary.path(), path);
}

void reserve_space(const std::string& path, uint64_t bytes) {
  const Descriptor file(path, O_WRONLY | O_CREAT);
  const bool reserved = ::fallocate(file.id(), 0, 0, static_cast<off_t>(bytes)) == 0;
  check(reserved || errno == EOPNOTSUPP, "cannot be given the space it needs", path);
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
