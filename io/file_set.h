// SPDX-License-Identifier: Apache-2.0
// The files below a folder or inside a ZIP archive, by their names relative to it, with "/" between
// the parts. Errors are InputErrors that name the folder or archive.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace galette::io {

class FileSet {
 public:
  virtual ~FileSet() = default;
  /// "folder" or "zip".
  virtual std::string kind() const = 0;
  /// All files, in bytewise order of their names.
  virtual const std::vector<std::string>& names() const = 0;
  /// The content of one of names().
  virtual std::vector<uint8_t> read(const std::string& name) = 0;
};

/// Recursive; links to files and folders are followed.
std::unique_ptr<FileSet> open_folder(const std::string& path);
/// Which members of an archive may be read: any, or only those stored without compression, whose
/// size the archive's own size limits.
enum class ZipMembers { any, stored };
std::unique_ptr<FileSet> open_zip(const std::string& path, ZipMembers members = ZipMembers::any);

}  // namespace galette::io
