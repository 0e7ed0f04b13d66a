// SPDX-License-Identifier: Apache-2.0
// A file that is read or written at given places, by any number of threads and ranks at once.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace galette::io {

class PositionalFile {
 public:
  enum class Access { read, write };

  /// Opens an existing file; throws InputError naming it when that fails.
  PositionalFile(std::string path, Access access);
  PositionalFile(PositionalFile&& other) noexcept
      : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  PositionalFile& operator=(PositionalFile&& other) noexcept;
  ~PositionalFile();

  /// Fills `size` bytes from `offset` on. Throws DamagedFile when the file ends before.
  void read(void* data, int64_t size, int64_t offset) const;
  void write(const void* data, int64_t size, int64_t offset);
  /// Lets the system begin to put a range on the storage, without waiting for it.
  void start_syncing(int64_t offset, int64_t size);
  /// Waits until what was written is on the storage.
  void sync();
  /// Tells the system that a range will be read soon (so that it reads ahead), or in random order.
  void will_read(int64_t offset, int64_t size, bool soon) const;

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace galette::io
