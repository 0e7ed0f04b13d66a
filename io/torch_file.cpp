// SPDX-License-Identifier: Apache-2.0
#include "io/torch_file.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string_view>

#include <fmt/format.h>

#include "io/check.h"
#include "io/file_kind.h"
#include "io/file_set.h"
#include "io/file_util.h"
#include "io/pickle_machine.h"
#include "io/pickle_tensors.h"

namespace galette::io {
namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kLittle = "little";
constexpr int kMaxDepth = 32;        // of modules in modules
constexpr int kMaxValues = 100'000;  // looked at

/// Collects the tensors below a value.
class TensorCollector {
 public:
  TensorCollector(const std::string& path, uint64_t file_bytes)
      : path_(path), bytes_left_(2 * file_bytes) {}

  std::map<std::string, at::Tensor> collect(const PickleValue& top) {
    const PickleValue* inner = top.is(Kind::dict) ? top.find("state_dict") : nullptr;
    add_entries(inner != nullptr ? *inner : top, "", 0);
    if (tensors_.empty())
      throw InputError(
          fmt::format("{}: holds no tensors with names; give a file of weights "
                      "(a state dictionary or a TorchScript module)",
                      path_));
    return std::move(tensors_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(fmt::format("{}: {}", path_, what));
  }

  /// The entries of a dictionary, or of a module's attributes.
  void add_entries(const PickleValue& value, const std::string& prefix, int depth) {
    const PickleValue* dict = value.is(Kind::object) ? value.state : &value;
    if (dict == nullptr || !dict->is(Kind::dict)) return;
    if (depth > kMaxDepth) fail("its modules are nested too deeply");
    for (size_t i = 0; i + 1 < dict->items.size(); i += 2) {
      if (++values_ > kMaxValues) fail("it has more entries than any network");
      const PickleValue& key = *dict->items[i];
      const PickleValue& entry = *dict->items[i + 1];
      if (!key.is(Kind::text) && !key.is(Kind::bytes)) continue;
      if (entry.is(Kind::tensor)) add_tensor(prefix + key.text, entry.tensor);
      if (entry.is(Kind::object)) add_entries(entry, prefix + key.text + ".", depth + 1);
    }
  }

  /// Views may share a storage; networks repeat little.
  void add_tensor(const std::string& name, const at::Tensor& tensor) {
    if (tensor.nbytes() > bytes_left_) fail("its tensors are larger than the file");
    bytes_left_ -= tensor.nbytes();
    tensors_[name] = tensor.contiguous();
  }

  const std::string& path_;
  uint64_t bytes_left_;
  int values_ = 0;
  std::map<std::string, at::Tensor> tensors_;
};

/// The archive's storages, each read when it is first referred to.
class Archive {
 public:
  Archive(const std::string& path, PickleArena& arena)
      : path_(path), arena_(arena), files_(open_zip(path, ZipMembers::stored)) {
    const std::string suffix = "/data.pkl";
    for (const std::string& name : files_->names())
      if (name.ends_with(suffix) && std::count(name.begin(), name.end(), '/') == 1)
        prefix_ = name.substr(0, name.size() - suffix.size() + 1);
    if (prefix_.empty())
      throw InputError(
          fmt::format("{}: a ZIP archive without <name>/data.pkl, so none of PyTorch's", path));
    const std::vector<uint8_t> order =
        has("byteorder") ? files_->read(prefix_ + "byteorder") : std::vector<uint8_t>{};
    if (!order.empty() && !std::equal(order.begin(), order.end(), kLittle.begin(), kLittle.end()))
      throw InputError(fmt::format("{}: holds big-endian numbers, which are not read", path));
  }

  const PickleValue& load() {
    const std::string code = prefix_ + "code/";
    const auto& names = files_->names();
    const bool script = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return name.starts_with(code);
    });
    const std::vector<uint8_t> pickle = files_->read(prefix_ + "data.pkl");
    return *PickleMachine(pickle, arena_, path_,
                          script ? PickleNames::scripts : PickleNames::weights,
                          [this](const PickleValue& reference) { return storage(reference); })
                .load();
  }

 private:
  bool has(const std::string& member) const {
    const auto& names = files_->names();
    return std::binary_search(names.begin(), names.end(), prefix_ + member);
  }

  PickleValue* storage(const PickleValue& description) {
    const StorageReference reference = read_storage_reference(description, path_);
    PickleValue*& value = storages_[reference.key];
    if (value != nullptr) return value;
    const std::string member = "data/" + reference.key;
    if (!has(member)) throw DamagedFile(fmt::format("{}: {}{} is missing", path_, prefix_, member));
    const std::vector<uint8_t> bytes = files_->read(prefix_ + member);
    if (bytes.size() != static_cast<size_t>(reference.bytes))
      throw DamagedFile(fmt::format("{}: {}{} has {} bytes where {} are due", path_, prefix_,
                                    member, bytes.size(), reference.bytes));
    value = arena_.make(Kind::storage);
    value->tensor = at::empty({reference.count}, reference.type);
    if (!bytes.empty()) std::memcpy(value->tensor.data_ptr(), bytes.data(), bytes.size());
    return value;
  }

  const std::string& path_;
  PickleArena& arena_;
  std::unique_ptr<FileSet> files_;
  std::string prefix_;
  std::map<std::string, PickleValue*> storages_;
};

}  // namespace

std::map<std::string, at::Tensor> read_torch_file(const std::string& path) {
  PickleArena arena(path);
  const FileKind kind = file_kind(path);
  TensorCollector collector(path, std::filesystem::file_size(path));
  if (kind == FileKind::zip) return collector.collect(Archive(path, arena).load());
  const std::vector<uint8_t> bytes =
      kind == FileKind::pickle ? read_file(path) : std::vector<uint8_t>{};
  if (!is_tensor_stream(bytes))
    throw InputError(fmt::format("{}: is no file of PyTorch's weights", path));
  return collector.collect(*load_tensor_stream(bytes, PickleNames::weights, arena, path));
}

}  // namespace galette::io
