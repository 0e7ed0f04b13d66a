// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/App.hpp>

#include "cli/command.h"

namespace galette {

/// `galette bench kernels`: the operators of the layer `kernels`, forward and backward, beside the
/// same in LibTorch's own operators, a large product and a large copy.
void add_bench_kernels(CLI::App& bench, Action& action);

}  // namespace galette
