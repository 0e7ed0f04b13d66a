// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette bench reduce`: sums over the ranks as training takes them, beside MPI_Allreduce alone.
void add_bench_reduce(CLI::App& bench, Action& action);

}  // namespace galette
