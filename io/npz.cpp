// SPDX-License-Identifier: Apache-2.0
#include "io/npz.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zip.h>

#include "io/check.h"
#include "io/durable.h"
#include "io/file_set.h"

namespace galette::io {
namespace {

// Magic bytes, version 1.0, and the header's length in 16 bits; all together a multiple of 64.
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kPrefix = 10, kAlignment = 64;

std::vector<uint8_t> encode_array(const at::Tensor& array) {
  const at::Tensor values = array.cpu().contiguous();
  TORCH_CHECK(values.scalar_type() == at::kFloat || values.scalar_type() == at::kDouble,
              "only arrays of float32 and float64 can be written");
  std::string header = fmt::format("{{'descr': '<f{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                   values.element_size(), fmt::join(values.sizes(), ", "),
                                   values.dim() == 1 ? "," : "");
  header.resize((kPrefix + header.size() + kAlignment) / kAlignment * kAlignment - kPrefix, ' ');
  header.back() = '\n';
  std::vector<uint8_t> bytes(kMagic.begin(), kMagic.end());
  for (const size_t byte : {size_t{1}, size_t{0}, header.size() % 256, header.size() / 256})
    bytes.push_back(static_cast<uint8_t>(byte));
  bytes.insert(bytes.end(), header.begin(), header.end());
  const auto* data = static_cast<const uint8_t*>(values.const_data_ptr());
  bytes.insert(bytes.end(), data, data + values.nbytes());
  return bytes;
}

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};

class ArrayReader {
 public:
  ArrayReader(std::string where, const std::vector<uint8_t>& bytes)
      : where_(std::move(where)), bytes_(bytes) {}

  at::Tensor read() const {
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
    if (text.size() < kPrefix || !text.starts_with(kMagic)) fail("is no array of NumPy");
    if (bytes_[6] != 1) fail("has a header of another version than 1.0");
    const size_t length = bytes_[8] + size_t{256} * bytes_[9];
    if (text.size() < kPrefix + length) fail("is cut off");
    const std::string_view header = text.substr(kPrefix, length);
    if (value_of(header, "fortran_order") != "False") fail("is stored column by column");
    const at::Tensor array = at::empty(shape(header), type(header));
    if (text.size() - kPrefix - length != array.nbytes())
      fail("has another number of values than its header says");
    std::memcpy(array.mutable_data_ptr(), bytes_.data() + kPrefix + length, array.nbytes());
    return array;
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw InputError(fmt::format("{} {}", where_, what));
  }

  /// What follows `'key': `, up to a comma, or with its bracket if it has one.
  std::string_view value_of(std::string_view header, std::string_view key) const {
    const size_t at = header.find(fmt::format("'{}': ", key));
    if (at == std::string_view::npos) fail("has a header without type, order or shape");
    const std::string_view rest = header.substr(at + key.size() + 4);
    return rest.substr(0, rest.find(rest.starts_with('(') ? ')' : ','));
  }

  at::ScalarType type(std::string_view header) const {
    const std::string_view name = value_of(header, "descr");
    if (name == "'<f4'") return at::kFloat;
    if (name == "'<f8'") return at::kDouble;
    fail("has another type than float32 and float64");
  }

  std::vector<int64_t> shape(std::string_view header) const {
    constexpr int64_t kMostValues = int64_t{1} << 40;
    std::vector<int64_t> sizes;
    std::string_view text = value_of(header, "shape").substr(1);
    int64_t values = 1;
    while (!text.empty()) {
      int64_t size = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
      if (error != std::errc() || size < 1 || size > kMostValues / values)
        fail("has a shape that makes no sense");
      values *= size;
      sizes.push_back(size);
      text.remove_prefix(static_cast<size_t>(end - text.data()));
      text.remove_prefix(std::min(text.find_first_not_of(", "), text.size()));
    }
    if (static_cast<size_t>(values) > bytes_.size()) fail("is cut off");
    return sizes;
  }

  std::string where_;
  const std::vector<uint8_t>& bytes_;
};

}  // namespace

void write_npz(const std::string& path, const std::map<std::string, at::Tensor>& arrays) {
  TemporaryFile temporary(path + ".tmp");
  const auto check = [&](bool ok, zip_t* archive) {
    if (!ok)
      throw std::runtime_error(fmt::format("{}: cannot be written: {}", path,
                                           archive ? zip_strerror(archive) : "no such folder"));
  };
  std::unique_ptr<zip_t, Discard> archive(
      zip_open(temporary.path().c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr));
  check(archive != nullptr, nullptr);
  std::vector<std::vector<uint8_t>> members;  // libzip reads them when it closes the archive
  for (const auto& [name, array] : arrays) {
    members.push_back(encode_array(array));
    zip_source_t* source =
        zip_source_buffer(archive.get(), members.back().data(), members.back().size(), 0);
    check(source != nullptr, archive.get());
    const zip_int64_t index =
        zip_file_add(archive.get(), (name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) zip_source_free(source);
    check(index >= 0, archive.get());
    check(zip_set_file_compression(archive.get(), static_cast<zip_uint64_t>(index), ZIP_CM_STORE,
                                   0) == 0,
          archive.get());
  }
  check(zip_close(archive.get()) == 0, archive.get());
  // It is closed.
  [[maybe_unused]] zip_t* const closed = archive.release();
  replace_durably(temporary.path(), path);
  temporary.keep();
}

at::Tensor read_npz(const std::string& path, const std::string& name) {
  const std::unique_ptr<FileSet> archive = open_zip(path);
  const std::string member = name + ".npy";
  if (!std::ranges::binary_search(archive->names(), member))
    throw InputError(fmt::format("{}: has no array '{}'", path, name));
  return ArrayReader(fmt::format("{}: its array '{}'", path, name), archive->read(member)).read();
}

}  // namespace galette::io
