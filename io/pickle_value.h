// SPDX-License-Identifier: Apache-2.0
// Inert values out of a pickle. Nothing here can run anything: a class or function is only a name.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

namespace galette::io {

struct PickleValue {
  enum class Kind {
    none,
    boolean,  ///< integer: 0 or 1
    integer,
    real,
    text,
    bytes,    ///< text
    list,     ///< items
    tuple,    ///< items
    set,      ///< items
    dict,     ///< items: key, value, key, value, ...
    global,   ///< text: "module name"
    object,   ///< text: name of its class; items: constructor arguments; state
    storage,  ///< tensor: one axis
    tensor,
  };
  Kind kind = Kind::none;
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<PickleValue*> items;
  PickleValue* state = nullptr;
  at::Tensor tensor;

  bool is(Kind other) const { return kind == other; }
  /// The value under a text (or Python 2's text, bytes) of a dict (of an object: of its state), or
  /// null.
  const PickleValue* find(const std::string& key) const;
};

/// Owns values, which may refer to each other in any way.
class PickleArena {
 public:
  /// `name` opens the message.
  explicit PickleArena(std::string name) : name_(std::move(name)) {}
  /// Throws InputError when a pickle makes more values than any network needs.
  PickleValue* make(PickleValue::Kind kind);

 private:
  std::string name_;
  std::deque<PickleValue> values_;
};

}  // namespace galette::io
