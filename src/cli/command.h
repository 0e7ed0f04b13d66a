// SPDX-License-Identifier: Apache-2.0
// A subcommand adds itself to the parser and, when it is the chosen one, stores what is to be done;
// main runs that after parsing.
#pragma once

#include <functional>

namespace galette {

/// Does the work on all ranks and returns the exit code.
using Action = std::function<int()>;

}  // namespace galette
