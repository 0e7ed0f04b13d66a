// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette man` and `galette completion`: what the program tells about all its commands. To be
/// added after them. They need neither MPI nor ranks.
void add_documentation_commands(CLI::App& app, Action& action);

/// Whether a command line is one of these.
bool asks_for_documentation(int argc, char** argv);

}  // namespace galette
