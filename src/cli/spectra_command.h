// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette spectra`: which frequencies images have.
void add_spectra_command(CLI::App& app, Action& action);

}  // namespace galette
