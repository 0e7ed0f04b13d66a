// SPDX-License-Identifier: Apache-2.0
// What a refusal of bad input says.
#pragma once

#include <functional>
#include <string>

#include "io/check.h"

namespace galette::testing {

/// The message of the InputError that work() throws, or "no error".
inline std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace galette::testing
