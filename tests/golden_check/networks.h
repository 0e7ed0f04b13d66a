// SPDX-License-Identifier: Apache-2.0
// Helpers of the sections that test whole networks: loading a stored state by name, and comparing
// the gradients of all parameters.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "golden.h"
#include "models/network.h"

namespace galette::golden {

/// Copies every tensor of group `<case>/<path>` into the network, and checks that both have exactly
/// the same names and shapes. Enables gradients.
void load_state(const Case& c, const std::string& path, Network& network);

/// Whether a parameter (in arena order) received a gradient since the last clear.
bool was_reached(const Network& network, size_t parameter);

/// Compares the accumulated gradients, times `scale`, with group `<case>/<path>`, and which
/// parameters have none with its attribute `grad_none`.
void compare_gradients(const Case& c, const std::string& path, const Network& network,
                       double scale = 1);

/// Backward from a scalar, with the network's gradients cleared before.
void backward(const at::Tensor& loss, Network& network);

/// The reference takes sample i for group i mod (N/G) of minibatch standard deviation, Galette
/// takes consecutive samples. order[k] is the reference's sample at Galette's place k.
at::Tensor consecutive_groups(int64_t batch, int64_t group_size);
/// The inverse permutation.
at::Tensor inverse_order(const at::Tensor& order);

}  // namespace galette::golden
