// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette generate`: images of a trained network.
void add_generate_command(CLI::App& app, Action& action);

}  // namespace galette
