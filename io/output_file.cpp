// SPDX-License-Identifier: Apache-2.0
#include "io/output_file.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "io/check.h"

namespace galette::io {

OutputFile::OutputFile(std::string path)
    : path_(std::move(path)),
      temporary_(path_ + ".tmp"),
      stream_(std::fopen(temporary_.path().c_str(), "wb")) {
  if (!stream_)
    throw InputError(fmt::format("{}: cannot be written: {}", path_, std::strerror(errno)));
}

void OutputFile::finish() {
  bool failed = std::ferror(stream_.get()) != 0;
  failed = std::fclose(stream_.release()) != 0 || failed;
  if (failed || std::rename(temporary_.path().c_str(), path_.c_str()) != 0)
    throw std::runtime_error(fmt::format("{}: cannot be written: {}", path_, std::strerror(errno)));
  temporary_.keep();
}

}  // namespace galette::io
