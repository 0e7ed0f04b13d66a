// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <ATen/record_function.h>
#include <nlohmann/json.hpp>

namespace galette {

/// While it lives, counts what this thread spends in each operator of LibTorch and of the kernels,
/// and in each node of a backward pass, without the operators that those call themselves. Of an
/// operator that works on several threads it is the time until all are done.
class OpProfile {
 public:
  OpProfile();
  OpProfile(const OpProfile&) = delete;
  OpProfile& operator=(const OpProfile&) = delete;
  ~OpProfile();

  /// [{"op", "calls", "seconds"}], longest first.
  nlohmann::ordered_json report() const;

  struct Count {
    std::string op;
    int64_t calls = 0;
  };
  /// How often each operator was called that computes or copies something itself, most frequent
  /// first. On a GPU each such call is a kernel launch or a few. Left out are operators that only
  /// call others, that look at the same memory in another way, and that allocate.
  std::vector<Count> operations() const;

 private:
  at::CallbackHandle callback_;
};

}  // namespace galette
