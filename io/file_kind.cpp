// SPDX-License-Identifier: Apache-2.0
#include "io/file_kind.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string_view>

#include <fmt/format.h>

#include "io/check.h"
#include "io/positional_file.h"
#include "io/safetensors_header.h"

namespace galette::io {
namespace {

constexpr std::string_view kHdf5{"\x89HDF\r\n\x1a\n"};
constexpr std::string_view kZip{"PK\x03\x04"};
constexpr size_t kHeadBytes = 16;

/// The first byte says "protocol", the second which.
bool is_pickle(std::string_view head) {
  return head.size() > 1 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5;
}

/// A possible length of a header, then a JSON object.
bool is_safetensors(std::string_view head) {
  uint64_t length = 0;
  if (head.size() <= sizeof length) return false;
  std::memcpy(&length, head.data(), sizeof length);
  return head[sizeof length] == '{' && length <= kMaxSafetensorsHeader;
}

}  // namespace

FileKind file_kind(const std::string& path) {
  namespace fs = std::filesystem;
  if (!fs::exists(path)) throw InputError(fmt::format("{}: No such file", path));
  if (!fs::is_regular_file(path)) throw InputError(fmt::format("{}: is not a file", path));
  const uint64_t size = fs::file_size(path);
  std::array<char, kHeadBytes> bytes{};
  const std::string_view head(bytes.data(), std::min<uint64_t>(size, bytes.size()));
  PositionalFile(path, PositionalFile::Access::read)
      .read(bytes.data(), static_cast<int64_t>(head.size()), 0);
  if (head.starts_with(kHdf5)) return FileKind::hdf5;
  if (head.starts_with(kZip)) return FileKind::zip;
  if (is_pickle(head)) return FileKind::pickle;
  if (is_safetensors(head)) return FileKind::safetensors;
  return FileKind::other;
}

}  // namespace galette::io
