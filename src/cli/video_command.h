// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette video`: a film of a trained network.
void add_video_command(CLI::App& app, Action& action);

}  // namespace galette
