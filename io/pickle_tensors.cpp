// SPDX-License-Identifier: Apache-2.0
#include "io/pickle_tensors.h"

#include <cstring>
#include <map>

#include <fmt/format.h>

#include "io/check.h"
#include "io/pickle_machine.h"

namespace galette::io {
namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kMagic{"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10};
constexpr int64_t kStreamVersion = 1001;

[[noreturn]] void damaged_storage(const std::string& where, const std::string& what) {
  throw DamagedFile(fmt::format("{}: not a valid tensor storage: {}", where, what));
}

class TensorStream {
 public:
  using Bytes = PickleMachine::Bytes;

  TensorStream(Bytes stream, PickleNames names, PickleArena& arena, const std::string& where)
      : arena_(arena),
        where_(where),
        bytes_left_(static_cast<int64_t>(stream.size())),
        machine_(stream, arena, where, names,
                 [this](const PickleValue& reference) { return declare(reference); }) {}

  PickleValue* load() {
    const PickleValue* magic = machine_.load();
    if (magic->text != kMagic) damaged("its magic number is wrong");
    if (machine_.load()->integer != kStreamVersion) damaged("it is of another version");
    const PickleValue* little = machine_.load()->find("little_endian");
    if (little == nullptr || little->integer != 1) damaged("it is not little-endian");
    PickleValue* object = machine_.load();
    const PickleValue* keys = machine_.load();
    rest_ = machine_.rest();
    for (const PickleValue* key : keys->items) fill(key->text);
    for (const auto& [key, storage] : storages_)
      if (!storage.filled) damaged("it lacks the data");
    return object;
  }

 private:
  [[noreturn]] void damaged(const std::string& what) const { damaged_storage(where_, what); }

  /// The data come later; together they cannot be longer than the stream.
  PickleValue* declare(const PickleValue& description) {
    const StorageReference reference = read_storage_reference(description, where_);
    const auto found = storages_.find(reference.key);
    if (found != storages_.end()) return found->second.value;
    if (reference.bytes > bytes_left_) damaged("it ends too early");
    bytes_left_ -= reference.bytes;
    PickleValue* value = arena_.make(Kind::storage);
    value->tensor = at::empty({reference.count}, reference.type);
    storages_[reference.key] = {value, false};
    return value;
  }

  void fill(const std::string& key) {
    const auto found = storages_.find(key);
    if (found == storages_.end()) damaged("a key belongs to no storage");
    const at::Tensor& tensor = found->second.value->tensor;
    int64_t count = 0;
    std::memcpy(&count, take(sizeof count).data(), sizeof count);
    if (count != tensor.numel()) damaged("its sizes contradict each other");
    const auto data = take(tensor.nbytes());
    if (!data.empty()) std::memcpy(tensor.data_ptr(), data.data(), data.size());
    found->second.filled = true;
  }

  Bytes take(size_t count) {
    if (count > rest_.size()) damaged("it ends too early");
    const auto taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  struct Storage {
    PickleValue* value = nullptr;
    bool filled = false;
  };

  PickleArena& arena_;
  const std::string& where_;
  int64_t bytes_left_;
  std::map<std::string, Storage> storages_;
  PickleMachine machine_;
  Bytes rest_;
};

/// Non-negative numbers of a tuple or list; false when there are others.
bool read_counts(const PickleValue& value, std::vector<int64_t>& counts) {
  for (const PickleValue* item : value.items) {
    if (!item->is(Kind::integer) || item->integer < 0) return false;
    counts.push_back(item->integer);
  }
  return value.is(Kind::tuple) || value.is(Kind::list);
}

/// Whether a view lies within `size` elements and has no more of them.
bool fits(int64_t offset, const std::vector<int64_t>& shape, const std::vector<int64_t>& strides,
          int64_t size) {
  int64_t last = offset, elements = 1, distance = 0;
  if (shape.size() != strides.size() || offset < 0) return false;
  bool empty = false;  // there is nothing to lie anywhere, but the sides must make sense
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(elements, shape[i], &elements) ||
               __builtin_mul_overflow(shape[i] - 1, strides[i], &distance) ||
               __builtin_add_overflow(last, distance, &last)) {
      return false;
    }
  }
  return empty ? offset <= size : last < size && elements <= size;
}

}  // namespace

StorageReference read_storage_reference(const PickleValue& reference, const std::string& where) {
  const auto& items = reference.items;
  const bool plain = items.size() >= 5 && items[0]->text == "storage" &&
                     items[1]->is(Kind::global) && items[4]->is(Kind::integer) &&
                     (items.size() == 5 || items[5]->is(Kind::none));
  if (!plain) damaged_storage(where, "it is described in an unknown way");
  const std::string_view type = items[1]->text;
  const size_t space = type.find(' ');
  const auto known = storage_type(type.substr(0, space), type.substr(space + 1));
  if (!known) damaged_storage(where, fmt::format("{} is not its class", type));
  StorageReference result{items[2]->text, *known, items[4]->integer, 0};
  const auto size = static_cast<int64_t>(c10::elementSize(result.type));
  if (result.count < 0 || __builtin_mul_overflow(result.count, size, &result.bytes))
    damaged_storage(where, "its sizes contradict each other");
  return result;
}

PickleValue* load_tensor_stream(std::span<const uint8_t> stream, PickleNames names,
                                PickleArena& arena, const std::string& where) {
  return TensorStream(stream, names, arena, where).load();
}

bool is_tensor_stream(std::span<const uint8_t> bytes) {
  // Protocol 2, then the magic number as a long of its length.
  constexpr std::string_view kHead{"\x80\x02\x8a\x0a", 4};
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.starts_with(kHead) && text.substr(kHead.size()).starts_with(kMagic);
}

PickleValue* rebuild_tensor(const PickleValue& arguments, PickleArena& arena,
                            const std::string& where) {
  const auto& items = arguments.items;
  std::vector<int64_t> shape, strides;
  const bool sound = items.size() >= 4 && items[0]->is(Kind::storage) &&
                     items[0]->tensor.defined() && items[1]->is(Kind::integer) &&
                     read_counts(*items[2], shape) && read_counts(*items[3], strides) &&
                     fits(items[1]->integer, shape, strides, items[0]->tensor.numel());
  if (!sound)
    throw DamagedFile(
        fmt::format("{}: not a valid pickle: a tensor does not lie within its storage", where));
  PickleValue* value = arena.make(Kind::tensor);
  value->tensor = items[0]->tensor.as_strided(shape, strides, items[1]->integer);
  return value;
}

}  // namespace galette::io
