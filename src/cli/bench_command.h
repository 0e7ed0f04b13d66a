// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette bench`: `step` times the phases of a training iteration on random images; for
/// `checkpoint` and `kernels` see bench_checkpoint.h and bench_kernels.h.
void add_bench_command(CLI::App& app, Action& action);

}  // namespace galette
