// SPDX-License-Identifier: Apache-2.0
#include "io/positional_file.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "io/check.h"

namespace galette::io {
namespace {

[[noreturn]] void fail(const std::string& path, const char* action) {
  throw std::runtime_error(fmt::format("{}: cannot be {}: {}", path, action, std::strerror(errno)));
}

}  // namespace

PositionalFile::PositionalFile(std::string path, Access access)
    : path_(std::move(path)),
      descriptor_(
          ::open(path_.c_str(), (access == Access::read ? O_RDONLY : O_WRONLY) | O_CLOEXEC)) {
  if (descriptor_ < 0) {
    throw InputError(fmt::format("{}: cannot be opened: {}", path_, std::strerror(errno)));
  }
}

PositionalFile& PositionalFile::operator=(PositionalFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

PositionalFile::~PositionalFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void PositionalFile::read(void* data, int64_t size, int64_t offset) const {
  auto* bytes = static_cast<char*>(data);
  for (int64_t done = 0; done < size;) {
    const ssize_t got =
        ::pread(descriptor_, bytes + done, static_cast<size_t>(size - done), offset + done);
    if (got < 0 && errno != EINTR) fail(path_, "read");
    if (got == 0) throw DamagedFile(fmt::format("{}: truncated: it ends too early", path_));
    if (got > 0) done += got;
  }
}

void PositionalFile::write(const void* data, int64_t size, int64_t offset) {
  const auto* bytes = static_cast<const char*>(data);
  for (int64_t done = 0; done < size;) {
    const ssize_t put =
        ::pwrite(descriptor_, bytes + done, static_cast<size_t>(size - done), offset + done);
    if (put < 0 && errno != EINTR) fail(path_, "written");
    if (put > 0) done += put;
  }
}

void PositionalFile::start_syncing(int64_t offset, int64_t size) {
  // A hint only: its failure changes no result.
  ::sync_file_range(descriptor_, offset, size, SYNC_FILE_RANGE_WRITE);
}

void PositionalFile::sync() {
  if (::fsync(descriptor_) != 0) fail(path_, "synced");
}

void PositionalFile::will_read(int64_t offset, int64_t size, bool soon) const {
  // A hint only: its failure changes no result.
  ::posix_fadvise(descriptor_, offset, size, soon ? POSIX_FADV_WILLNEED : POSIX_FADV_RANDOM);
}

}  // namespace galette::io
