// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette train`: trains a generator, or goes on with a run.
void add_train_command(CLI::App& app, Action& action);

}  // namespace galette
