// SPDX-License-Identifier: Apache-2.0
// A file that is written from front to back under the name `path`.tmp and gets its own name when it
// is complete; until then there is the older file or none. Errors name the path.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "io/durable.h"

namespace galette::io {

class OutputFile {
 public:
  /// Throws InputError when the place is not writable.
  explicit OutputFile(std::string path);

  const std::string& path() const { return path_; }
  /// For libraries that write themselves.
  std::FILE* stream() const { return stream_.get(); }
  /// Throws std::runtime_error with the system's reason when anything could not be written.
  void finish();

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  std::string path_;
  TemporaryFile temporary_;
  std::unique_ptr<std::FILE, Close> stream_;
};

}  // namespace galette::io
