// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette bench`: `step` times the phases of a training iteration on random images; for the
/// others see bench_*.h.
void add_bench_command(CLI::App& app, Action& action);

}  // namespace galette
