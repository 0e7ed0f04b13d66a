// SPDX-License-Identifier: Apache-2.0
// The names that pickles of published networks use, and what each stands for.
#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "io/check.h"
#include "io/pickle_machine.h"
#include "io/pickle_tensors.h"

namespace galette::io {
namespace {

using Kind = PickleValue::Kind;

enum class Meaning {
  persistent,   ///< a module of the published networks
  dictionary,   ///< a dictionary with another name
  parameter,    ///< a tensor that is trained
  tensor,       ///< a view of a storage
  load,         ///< a storage out of bytes
  same,         ///< the argument itself
  set,          ///< of the elements of a list
  bytes,        ///< of a text in Latin-1
  number,       ///< a NumPy scalar
  plain_object  ///< only kept by name
};

struct Known {
  std::string_view module, name;
  Meaning meaning;
};

constexpr std::array kKnown{
    Known{"torch_utils.persistence", "_reconstruct_persistent_obj", Meaning::persistent},
    Known{"dnnlib.util", "EasyDict", Meaning::dictionary},
    Known{"dnnlib", "EasyDict", Meaning::dictionary},
    Known{"collections", "OrderedDict", Meaning::dictionary},
    Known{"torch._utils", "_rebuild_parameter", Meaning::parameter},
    Known{"torch._utils", "_rebuild_tensor_v2", Meaning::tensor},
    Known{"torch._utils", "_rebuild_tensor", Meaning::tensor},
    Known{"torch.storage", "_load_from_bytes", Meaning::load},
    Known{"torch", "Size", Meaning::same},
    Known{"torch", "device", Meaning::plain_object},
    Known{"torch", "float16", Meaning::plain_object},
    Known{"torch", "float32", Meaning::plain_object},
    Known{"torch", "float64", Meaning::plain_object},
    Known{"torch.nn.modules.container", "Sequential", Meaning::plain_object},
    Known{"torch.nn.modules.container", "ModuleList", Meaning::plain_object},
    Known{"training.networks_creps", "SynthesisInput", Meaning::plain_object},
    Known{"numpy.core.multiarray", "scalar", Meaning::number},
    Known{"numpy._core.multiarray", "scalar", Meaning::number},
    Known{"numpy.core.multiarray", "_reconstruct", Meaning::plain_object},
    Known{"numpy._core.multiarray", "_reconstruct", Meaning::plain_object},
    Known{"numpy", "ndarray", Meaning::plain_object},
    Known{"numpy", "dtype", Meaning::plain_object},
    Known{"_codecs", "encode", Meaning::bytes},
    Known{"builtins", "set", Meaning::set},
    Known{"__builtin__", "set", Meaning::set},
    Known{"builtins", "frozenset", Meaning::set},
    Known{"__builtin__", "frozenset", Meaning::set},
};

constexpr std::array<std::pair<std::string_view, at::ScalarType>, 10> kStorages{
    {{"FloatStorage", at::kFloat},
     {"HalfStorage", at::kHalf},
     {"BFloat16Storage", at::kBFloat16},
     {"DoubleStorage", at::kDouble},
     {"LongStorage", at::kLong},
     {"IntStorage", at::kInt},
     {"ShortStorage", at::kShort},
     {"CharStorage", at::kChar},
     {"ByteStorage", at::kByte},
     {"BoolStorage", at::kBool}}};

/// The one class of the published networks that is pickled by its module's name. That module gets a
/// name of its own when another program stored the networks again.
bool is_creps_input(std::string_view module, std::string_view name) {
  return name == "SynthesisInput" && module.starts_with("_imported_module_");
}

/// TorchScript's own classes, and the functions that mark the types of its lists.
bool is_script_name(std::string_view module) {
  return module == "__torch__" || module.starts_with("__torch__.") || module == "torch.jit._pickle";
}

/// What a dictionary of tensors is made with.
bool is_of_weights(Meaning meaning) {
  return meaning == Meaning::dictionary || meaning == Meaning::parameter ||
         meaning == Meaning::tensor || meaning == Meaning::same;
}

std::optional<Meaning> meaning_of(std::string_view module, std::string_view name) {
  for (const Known& known : kKnown)
    if (known.module == module && known.name == name) return known.meaning;
  if (is_creps_input(module, name) || is_script_name(module)) return Meaning::plain_object;
  return std::nullopt;
}

class Application {
 public:
  Application(const PickleValue& global, PickleValue* arguments, PickleArena& arena,
              const std::string& where)
      : global_(global), arguments_(arguments), arena_(arena), where_(where) {}

  PickleValue* run(Meaning meaning) {
    switch (meaning) {
      case Meaning::persistent:
        return persistent();
      case Meaning::dictionary:
        return dictionary();
      case Meaning::parameter:
        return argument(0, Kind::tensor);
      case Meaning::tensor:
        return rebuild_tensor(*arguments_, arena_, where_);
      case Meaning::load:
        return storage();
      case Meaning::same:
        return argument(0, Kind::tuple);
      case Meaning::set:
        return set();
      case Meaning::bytes:
        return bytes();
      case Meaning::number:
        return number();
      case Meaning::plain_object:
        return object(global_.text.substr(global_.text.rfind(' ') + 1));
    }
    return nullptr;
  }

 private:
  [[noreturn]] void damaged() const {
    throw DamagedFile(
        fmt::format("{}: not a valid pickle: wrong arguments for {}", where_, global_.text));
  }

  PickleValue* argument(size_t index, Kind kind) const {
    if (index >= arguments_->items.size() || !arguments_->items[index]->is(kind)) damaged();
    return arguments_->items[index];
  }

  PickleValue* storage() {
    const std::string& text = argument(0, Kind::bytes)->text;
    PickleValue* value =
        load_tensor_stream({reinterpret_cast<const uint8_t*>(text.data()), text.size()},
                           PickleNames::storages, arena_, where_);
    if (!value->is(Kind::storage)) damaged();
    return value;
  }

  PickleValue* object(const std::string& class_name) {
    PickleValue* value = arena_.make(Kind::object);
    value->text = class_name;
    value->items = arguments_->items;
    return value;
  }

  /// The source text that comes with it is not looked at.
  PickleValue* persistent() {
    const PickleValue* meta = argument(0, Kind::dict);
    const PickleValue* class_name = meta->find("class_name");
    const PickleValue* state = meta->find("state");
    if (class_name == nullptr || !class_name->is(Kind::text) || state == nullptr) damaged();
    PickleValue* value = arena_.make(Kind::object);
    value->text = class_name->text;
    value->state = arena_.make(Kind::dict);
    value->state->items = state->items;
    return value;
  }

  /// Empty at first, or, as Python 2 writes it, with a list of pairs.
  PickleValue* dictionary() {
    PickleValue* value = arena_.make(Kind::dict);
    if (arguments_->items.empty()) return value;
    for (const PickleValue* pair : argument(0, Kind::list)->items) {
      if (pair->items.size() != 2) damaged();
      value->items.insert(value->items.end(), pair->items.begin(), pair->items.end());
    }
    return value;
  }

  PickleValue* set() {
    PickleValue* value = arena_.make(Kind::set);
    if (!arguments_->items.empty()) value->items = argument(0, Kind::list)->items;
    return value;
  }

  /// UTF-8 of characters up to 255, each a byte.
  PickleValue* bytes() {
    const std::string& text = argument(0, Kind::text)->text;
    PickleValue* value = arena_.make(Kind::bytes);
    for (size_t i = 0; i < text.size(); ++i) {
      auto byte = static_cast<uint8_t>(text[i]);
      if (byte >= 0x80) {
        if (byte > 0xc3 || byte < 0xc2 || i + 1 == text.size()) damaged();
        byte = static_cast<uint8_t>(byte << 6 | (static_cast<uint8_t>(text[++i]) & 0x3f));
      }
      value->text.push_back(static_cast<char>(byte));
    }
    return value;
  }

  /// float64 and int64, which constructor arguments may be; others are only kept.
  PickleValue* number() {
    const PickleValue* type = argument(0, Kind::object);
    const std::string& raw = argument(1, Kind::bytes)->text;
    const std::string code =
        !type->items.empty() && type->items[0]->is(Kind::text) ? type->items[0]->text : "";
    if (raw.size() != sizeof(double) || (code != "f8" && code != "i8")) return object("scalar");
    PickleValue* value = arena_.make(code == "f8" ? Kind::real : Kind::integer);
    void* into = code == "f8" ? static_cast<void*>(&value->real) : &value->integer;
    std::memcpy(into, raw.data(), raw.size());
    return value;
  }

  const PickleValue& global_;
  PickleValue* arguments_;
  PickleArena& arena_;
  const std::string& where_;
};

}  // namespace

std::optional<at::ScalarType> storage_type(std::string_view module, std::string_view name) {
  const auto* found = std::find_if(kStorages.begin(), kStorages.end(),
                                   [&](const auto& s) { return s.first == name; });
  if (module != "torch" || found == kStorages.end()) return std::nullopt;
  return found->second;
}

bool is_allowed_global(PickleNames names, std::string_view module, std::string_view name) {
  if (storage_type(module, name)) return true;
  const auto meaning = meaning_of(module, name);
  if (!meaning || names == PickleNames::storages) return false;
  if (is_script_name(module)) return names == PickleNames::scripts;
  return names == PickleNames::networks || is_of_weights(*meaning) ||
         (names == PickleNames::scripts && module == "torch" && name == "device");
}

PickleValue* apply_global(const PickleValue& global, PickleValue* arguments, PickleArena& arena,
                          const std::string& where) {
  const size_t space = global.text.find(' ');
  const std::string_view text = global.text;
  const auto meaning = meaning_of(text.substr(0, space), text.substr(space + 1));
  if (!meaning)
    throw DamagedFile(fmt::format("{}: not a valid pickle: {} is called", where, global.text));
  return Application(global, arguments, arena, where).run(*meaning);
}

}  // namespace galette::io
