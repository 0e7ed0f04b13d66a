// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette job`: writes a script for Slurm that runs a given training command until it is done.
void add_job_command(CLI::App& app, Action& action);

}  // namespace galette
