// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette metrics`: numbers that say how good a trained network is.
void add_metrics_command(CLI::App& app, Action& action);

}  // namespace galette
