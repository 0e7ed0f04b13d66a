// SPDX-License-Identifier: Apache-2.0
// Files that survive a crash: what is synced is on the storage, and a rename is atomic. These throw
// std::runtime_error naming the path.
#pragma once

#include <cstdint>
#include <string>

namespace galette::io {

/// fsync of a file or a folder.
void sync_path(const std::string& path);

/// Renames a file that is synced already (same folder), and syncs the folder: after a crash there
/// is the old file or the new one.
void rename_durably(const std::string& temporary, const std::string& path);

/// The same for a file that is not synced yet.
void replace_durably(const std::string& temporary, const std::string& path);

/// Gives a file the further name `path` (on the same file system), durably and in place of an older
/// file of that name; a copy of the file where there are no hard links.
void link_durably(const std::string& file, const std::string& path);

/// Creates or extends a file to `bytes` with its blocks reserved, where the file system can, so
/// that a full disk, a quota or a size limit shows here and not in the middle of writing.
void reserve_space(const std::string& path, uint64_t bytes);

/// Bytes that the file system of a folder has left for this user.
uint64_t free_bytes(const std::string& folder);

/// The folder of a path; "." when it names none.
std::string parent_folder(const std::string& path);

/// Removes a half-written file when it goes out of scope, unless keep() was called.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile();
  const std::string& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  std::string path_;
  bool kept_ = false;
};

}  // namespace galette::io
