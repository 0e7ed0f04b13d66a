// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "io/check.h"
#include "io/file_set.h"
#include "io/file_util.h"

namespace galette::io {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> list_files(const fs::path& root) {
  std::vector<std::string> names;
  for (const auto& entry :
       fs::recursive_directory_iterator(root, fs::directory_options::follow_directory_symlink)) {
    if (entry.is_regular_file()) {
      names.push_back(entry.path().lexically_relative(root).generic_string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Folder : public FileSet {
 public:
  explicit Folder(const std::string& path) : root_(path) {
    try {
      names_ = list_files(root_);
    } catch (const fs::filesystem_error& error) {
      throw InputError(fmt::format("{}: the folder cannot be listed: {} ({})", path,
                                   error.code().message(), error.path1().string()));
    }
  }
  std::string kind() const override { return "folder"; }
  const std::vector<std::string>& names() const override { return names_; }
  std::vector<uint8_t> read(const std::string& name) override {
    return read_file((root_ / name).string());
  }

 private:
  fs::path root_;
  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<FileSet> open_folder(const std::string& path) {
  return std::make_unique<Folder>(path);
}

}  // namespace galette::io
