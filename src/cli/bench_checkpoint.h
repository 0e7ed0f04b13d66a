// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette bench checkpoint`: the speed of saving and loading, beside what MPI and the file system
/// do with the same bytes; what training waits for; what its border costs.
void add_bench_checkpoint(CLI::App& bench, Action& action);

}  // namespace galette
