// SPDX-License-Identifier: Apache-2.0
#include "io/gzip_reader.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "io/check.h"

namespace galette::io {

GzipReader::GzipReader(std::string path)
    : path_(std::move(path)), file_(gzopen(path_.c_str(), "rb")) {
  if (!file_) throw InputError(fmt::format("{}: cannot be opened", path_));
}

void GzipReader::fail(const std::string& what) const {
  throw InputError(fmt::format("{}: {}", path_, what));
}

void GzipReader::fill(std::span<uint8_t> bytes) {
  const int got = gzread(file_.get(), bytes.data(), static_cast<unsigned>(bytes.size()));
  if (got == static_cast<int>(bytes.size())) return;
  int code = Z_OK;
  const char* why = gzerror(file_.get(), &code);
  fail(code == Z_OK || code == Z_BUF_ERROR ? "truncated: it ends too early"
                                           : fmt::format("damaged: {}", why));
}

void GzipReader::skip(int64_t count) {
  std::array<uint8_t, 1 << 16> bytes;
  while (count > 0) {
    const auto part = std::min<int64_t>(count, bytes.size());
    fill(std::span(bytes).first(static_cast<size_t>(part)));
    count -= part;
  }
}

bool GzipReader::at_end() {
  uint8_t beyond = 0;
  const int got = gzread(file_.get(), &beyond, 1);
  if (got < 0) fail("damaged: its checksum differs");
  return got == 0;
}

}  // namespace galette::io
