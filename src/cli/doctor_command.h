// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include "cli/command.h"

namespace galette {

/// `galette doctor`: what to run first on a new cluster, started as a training will be.
void add_doctor_command(CLI::App& app, Action& action);

}  // namespace galette
