// SPDX-License-Identifier: Apache-2.0
// A machine for Python's pickles of protocols 2 to 5 that executes nothing: it builds inert values,
// knows a fixed list of names, and refuses every other name and every opcode that published
// networks do not use. Lengths are checked against what is left of the file before memory is taken.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "io/pickle_value.h"

namespace galette::io {

/// What a pickle may name.
enum class PickleNames {
  networks,  ///< what published networks name
  storages,  ///< storage classes: a pickle inside a pickle, where more could be nested without end
  weights,   ///< storage classes and what makes a dictionary of tensors
  scripts    ///< the same and the classes of TorchScript modules, which are only kept by name
};

class PickleMachine {
 public:
  using Bytes = std::span<const uint8_t>;
  /// Makes a value of a persistent reference; without it there may be none.
  using Resolve = std::function<PickleValue*(const PickleValue& reference)>;

  /// `name` opens every message. All values live in `arena`.
  PickleMachine(Bytes bytes, PickleArena& arena, std::string name,
                PickleNames names = PickleNames::networks, Resolve resolve = nullptr)
      : rest_(bytes),
        arena_(arena),
        name_(std::move(name)),
        names_(names),
        resolve_(std::move(resolve)) {}

  /// Runs one pickle, up to its STOP. Throws InputError when it holds what is not allowed,
  /// DamagedFile when it makes no sense or is cut off.
  PickleValue* load();
  /// What follows the pickles that were loaded.
  Bytes rest() const { return rest_; }

 private:
  using Kind = PickleValue::Kind;

  bool step(uint8_t opcode);
  bool step_value(uint8_t opcode);
  bool step_text(uint8_t opcode);
  bool step_container(uint8_t opcode);
  bool step_memo(uint8_t opcode);
  bool step_object(uint8_t opcode);

  Bytes take(uint64_t count);
  uint64_t take_number(int bytes);
  std::string take_line();
  PickleValue* push(Kind kind);
  PickleValue* pop();
  PickleValue& top(Kind kind);
  std::vector<PickleValue*> pop_to_mark();
  void push_text(Kind kind, int length_bytes);
  void push_long(int length_bytes);
  void push_tuple(std::vector<PickleValue*> items);
  void put(uint64_t index);
  void get(uint64_t index);
  void set_items(const std::vector<PickleValue*>& items);
  void push_global(const std::string& module, const std::string& name);
  PickleValue* pop_global();
  void reduce();
  void build();
  [[noreturn]] void damaged(const std::string& what) const;
  [[noreturn]] void refuse(const std::string& what) const;

  Bytes rest_;
  PickleArena& arena_;
  std::string name_;
  PickleNames names_;
  Resolve resolve_;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;
  std::map<uint64_t, PickleValue*> memo_;
};

/// Whether a name may appear in a pickle; listed in pickle_globals.cpp.
bool is_allowed_global(PickleNames names, std::string_view module, std::string_view name);

/// The element type of one of PyTorch's storage classes, if it is one.
std::optional<at::ScalarType> storage_type(std::string_view module, std::string_view name);

/// What a known function or class gives for arguments, in an inert form. `where` opens messages.
PickleValue* apply_global(const PickleValue& global, PickleValue* arguments, PickleArena& arena,
                          const std::string& where);

}  // namespace galette::io
