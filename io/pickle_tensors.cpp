// SPDX-License-Identifier: Apache-2.0
#include "io/pickle_tensors.h"

#include <algorithm>
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

class StorageStream {
 public:
  StorageStream(const std::string& stream, PickleArena& arena, const std::string& where)
      : arena_(arena),
        where_(where),
        machine_({reinterpret_cast<const uint8_t*>(stream.data()), stream.size()}, arena, where,
                 [this](const PickleValue& reference) { return declare(reference); }) {}

  PickleValue* load() {
    const PickleValue* magic = machine_.load();
    if (magic->text != kMagic) damaged("its magic number is wrong");
    if (machine_.load()->integer != kStreamVersion) damaged("it is of another version");
    const PickleValue* little = machine_.load()->find("little_endian");
    if (little == nullptr || little->integer != 1) damaged("it is not little-endian");
    PickleValue* storage = machine_.load();
    if (!storage->is(Kind::storage)) damaged("it holds no storage");
    const PickleValue* keys = machine_.load();
    rest_ = machine_.rest();
    for (const PickleValue* key : keys->items) fill(key->text);
    if (!storage->tensor.defined()) damaged("it lacks the data");
    return storage;
  }

 private:
  [[noreturn]] void damaged(const std::string& what) const {
    throw DamagedFile(fmt::format("{}: not a valid tensor storage: {}", where_, what));
  }

  /// ("storage", class, key, location, count[, view]).
  PickleValue* declare(const PickleValue& reference) {
    const auto& items = reference.items;
    const bool plain = items.size() >= 5 && items[0]->text == "storage" &&
                       items[1]->is(Kind::global) && items[4]->is(Kind::integer) &&
                       (items.size() == 5 || items[5]->is(Kind::none));
    if (!plain) damaged("it is described in an unknown way");
    const std::string_view type = items[1]->text;
    const size_t space = type.find(' ');
    PickleValue* storage = arena_.make(Kind::storage);
    storages_[items[2]->text] = {
        storage, *storage_type(type.substr(0, space), type.substr(space + 1)), items[4]->integer};
    return storage;
  }

  void fill(const std::string& key) {
    const auto found = storages_.find(key);
    if (found == storages_.end()) damaged("a key belongs to no storage");
    const auto& [storage, type, count] = found->second;
    int64_t stored = 0, bytes = 0;
    std::memcpy(&stored, take(sizeof stored).data(), sizeof stored);
    if (stored != count || count < 0 ||
        __builtin_mul_overflow(count, static_cast<int64_t>(c10::elementSize(type)), &bytes))
      damaged("its sizes contradict each other");
    const auto data = take(bytes);
    storage->tensor = at::empty({count}, type);
    if (bytes > 0) std::memcpy(storage->tensor.data_ptr(), data.data(), data.size());
  }

  PickleMachine::Bytes take(int64_t count) {
    if (static_cast<uint64_t>(count) > rest_.size()) damaged("it ends too early");
    const auto taken = rest_.first(static_cast<size_t>(count));
    rest_ = rest_.subspan(static_cast<size_t>(count));
    return taken;
  }

  struct Declared {
    PickleValue* storage;
    at::ScalarType type;
    int64_t count;
  };

  PickleArena& arena_;
  const std::string& where_;
  std::map<std::string, Declared> storages_;
  PickleMachine machine_;
  PickleMachine::Bytes rest_;
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
  if (std::find(shape.begin(), shape.end(), 0) != shape.end())
    return std::all_of(shape.begin(), shape.end(), [&](int64_t side) { return side <= size; });
  for (size_t i = 0; i < shape.size(); ++i)
    if (__builtin_mul_overflow(elements, shape[i], &elements) ||
        __builtin_mul_overflow(shape[i] - 1, strides[i], &distance) ||
        __builtin_add_overflow(last, distance, &last))
      return false;
  return last < size && elements <= size;
}

}  // namespace

PickleValue* load_storage(const std::string& stream, PickleArena& arena, const std::string& where) {
  return StorageStream(stream, arena, where).load();
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
