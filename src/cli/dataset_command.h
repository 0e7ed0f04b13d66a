// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette dataset`: packs images into a dataset file.
void add_dataset_command(CLI::App& app, Action& action);

}  // namespace galette
