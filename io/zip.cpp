// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <zip.h>

#include "io/check.h"
#include "io/file_set.h"

namespace galette::io {
namespace {

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};
using ZipHandle = std::unique_ptr<zip_t, Discard>;
using MemberHandle = std::unique_ptr<zip_file_t, Discard>;

ZipHandle open_archive(const std::string& path) {
  int code = 0;
  ZipHandle archive(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (archive) return archive;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string why = zip_error_strerror(&error);
  zip_error_fini(&error);
  throw InputError(fmt::format("{}: the ZIP archive cannot be opened: {}", path, why));
}

class Zip : public FileSet {
 public:
  Zip(const std::string& path, ZipMembers members)
      : path_(path), members_(members), archive_(open_archive(path)) {
    const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
    for (zip_int64_t i = 0; i < count; ++i) {
      const char* name = zip_get_name(archive_.get(), zip_uint64_t(i), 0);
      if (name == nullptr) fail("its table of contents", zip_strerror(archive_.get()));
      if (const std::string text = name; !text.ends_with('/')) names_.push_back(text);
    }
    std::sort(names_.begin(), names_.end());
  }
  std::string kind() const override { return "zip"; }
  const std::vector<std::string>& names() const override { return names_; }

  std::vector<uint8_t> read(const std::string& name) override {
    zip_stat_t stat;
    if (zip_stat(archive_.get(), name.c_str(), 0, &stat) != 0 || (stat.valid & ZIP_STAT_SIZE) == 0)
      fail(name, zip_strerror(archive_.get()));
    if (members_ == ZipMembers::stored) check_stored(name, stat);
    const MemberHandle member(zip_fopen(archive_.get(), name.c_str(), 0));
    if (!member) fail(name, zip_strerror(archive_.get()));
    std::vector<uint8_t> bytes(stat.size);
    // The read that meets the end also compares the member's checksum.
    const zip_int64_t got = zip_fread(member.get(), bytes.data(), bytes.size());
    uint8_t beyond = 0;
    if (got < 0 || zip_fread(member.get(), &beyond, 1) != 0)
      fail(name, zip_file_strerror(member.get()));
    if (zip_uint64_t(got) != stat.size) fail(name, "it ends early");
    return bytes;
  }

 private:
  [[noreturn]] void fail(const std::string& what, const std::string& why) const {
    throw InputError(fmt::format("{}: cannot read {}: {}", path_, what, why));
  }

  void check_stored(const std::string& name, const zip_stat_t& stat) const {
    constexpr zip_uint64_t kNeeded = ZIP_STAT_COMP_METHOD | ZIP_STAT_COMP_SIZE;
    if ((stat.valid & kNeeded) != kNeeded || stat.comp_method != ZIP_CM_STORE ||
        stat.size != stat.comp_size)
      fail(name, "it is compressed");
    if (stat.size > std::filesystem::file_size(path_)) fail(name, "it is larger than the archive");
  }

  std::string path_;
  ZipMembers members_;
  ZipHandle archive_;
  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<FileSet> open_zip(const std::string& path, ZipMembers members) {
  return std::make_unique<Zip>(path, members);
}

}  // namespace galette::io
