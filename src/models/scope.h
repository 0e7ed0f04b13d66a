// SPDX-License-Identifier: Apache-2.0
// A place in a network's naming tree, through which layers declare their tensors:
// Scope("synthesis", arena) / "b8" / "fc0" declares "synthesis.b8.fc0.weight".
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/parameter_arena.h"

namespace galette {

class Scope {
 public:
  Scope(std::string path, ParameterArena& arena) : path_(std::move(path)), arena_(&arena) {}

  Scope operator/(const std::string& name) const { return {full(name), *arena_}; }
  /// The same place, but what is declared as a parameter becomes a buffer: it keeps its name, is
  /// saved and averaged as buffers are, and gets no gradient (Freeze-D).
  Scope frozen(bool value) const {
    Scope scope = *this;
    scope.frozen_ = value;
    return scope;
  }

  at::Tensor parameter(const std::string& name, std::vector<int64_t> shape, Init init) const {
    if (frozen_) return arena_->add_buffer(full(name), std::move(shape), init);
    return arena_->add_parameter(full(name), std::move(shape), init);
  }
  at::Tensor buffer(const std::string& name, std::vector<int64_t> shape, Init init) const {
    return arena_->add_buffer(full(name), std::move(shape), init);
  }
  at::Tensor buffer(const std::string& name, const at::Tensor& value) const {
    return arena_->add_buffer(full(name), value);
  }

 private:
  std::string full(const std::string& name) const {
    return path_.empty() ? name : path_ + "." + name;
  }

  std::string path_;
  ParameterArena* arena_;
  bool frozen_ = false;
};

}  // namespace galette
