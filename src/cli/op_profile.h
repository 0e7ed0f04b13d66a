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

 private:
  at::CallbackHandle callback_;
};

}  // namespace galette
