// SPDX-License-Identifier: Apache-2.0
// Checks that an operator refuses its arguments and says what is wrong with them.
#pragma once

#include <functional>
#include <string>

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

namespace galette::testing {

/// call() must throw c10::Error with `words` in its message.
inline void expect_refused(const std::function<void()>& call, const std::string& words) {
  try {
    call();
    ADD_FAILURE() << "accepted; expected: " << words;
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    EXPECT_NE(message.find(words), std::string::npos) << message << "\nexpected: " << words;
  }
}

}  // namespace galette::testing
