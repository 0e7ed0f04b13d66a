// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette project`: the latents of given images.
void add_project_command(CLI::App& app, Action& action);

}  // namespace galette
