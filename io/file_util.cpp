// SPDX-License-Identifier: Apache-2.0
#include "io/file_util.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "io/check.h"
#include "io/durable.h"

namespace galette::io {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

[[noreturn]] void fail(const char* action, const std::string& path) {
  throw InputError(fmt::format("cannot {} {}: {}", action, path, std::strerror(errno)));
}

}  // namespace

std::vector<uint8_t> read_file(const std::string& path) {
  errno = 0;
  const File file(std::fopen(path.c_str(), "rb"));
  if (!file) fail("read", path);
  std::vector<uint8_t> bytes;
  constexpr size_t kStep = 1 << 16;
  for (size_t got = kStep; got == kStep;) {
    const size_t old = bytes.size();
    bytes.resize(old + kStep);
    got = std::fread(bytes.data() + old, 1, kStep, file.get());
    bytes.resize(old + got);
  }
  if (std::ferror(file.get()) != 0) fail("read", path);
  return bytes;
}

void write_file(const std::string& path, std::span<const uint8_t> bytes) {
  TemporaryFile temporary(path + ".tmp");
  errno = 0;
  File file(std::fopen(temporary.path().c_str(), "wb"));
  if (!file) fail("write", path);
  if (std::fwrite(bytes.data(), 1, bytes.size(), file.get()) != bytes.size()) fail("write", path);
  if (std::fclose(file.release()) != 0) fail("write", path);
  if (std::rename(temporary.path().c_str(), path.c_str()) != 0) fail("write", path);
  temporary.keep();
}

}  // namespace galette::io
