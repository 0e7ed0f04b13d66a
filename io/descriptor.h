// SPDX-License-Identifier: Apache-2.0
// An open file of the operating system, closed when the object goes.
#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace galette::io {

class Descriptor {
 public:
  /// `flags` as for open(2). Throws std::runtime_error naming the path.
  Descriptor(const std::string& path, int flags)
      : id_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (id_ < 0) {
      throw std::runtime_error(fmt::format("{}: cannot be opened: {}", path, std::strerror(errno)));
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(id_); }
  int id() const { return id_; }

 private:
  int id_;
};

}  // namespace galette::io
