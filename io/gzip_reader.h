// SPDX-License-Identifier: Apache-2.0
// A file that is read from front to back and may be compressed with gzip. Errors are InputErrors
// that name it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <zlib.h>

namespace galette::io {

class GzipReader {
 public:
  explicit GzipReader(std::string path);

  /// Fills all bytes; throws when the file ends before or is damaged.
  void fill(std::span<uint8_t> bytes);
  void skip(int64_t count);
  /// Whether nothing follows, checksum included.
  bool at_end();
  [[noreturn]] void fail(const std::string& what) const;

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose_r(file); }
  };
  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

}  // namespace galette::io
