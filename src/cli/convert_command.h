// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette convert`: networks from one file format to another.
void add_convert_command(CLI::App& app, Action& action);

}  // namespace galette
