// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette info FILE`: what a file is and holds.
void add_info_command(CLI::App& app, Action& action);

}  // namespace galette
