// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette report`: curves, images, options and history of runs as one HTML file.
void add_report_command(CLI::App& app, Action& action);

}  // namespace galette
