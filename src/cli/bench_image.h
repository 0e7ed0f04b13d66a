// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette bench image`: images as `galette generate` makes them, beside the same network composed
/// of LibTorch's operators.
void add_bench_image(CLI::App& bench, Action& action);

}  // namespace galette
