// SPDX-License-Identifier: Apache-2.0
// Helpers of the sections that test whole networks: loading a stored state by name, and comparing
// the gradients of all parameters.
#pragma once

#include <functional>
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

/// Compares the gradients of sum(synthesize(ws) * in/proj) by the parameters (group `grad`), by the
/// latents in/z (`grad_z`) and by the ws that they are mapped to (`grad_ws`).
///
/// In float32 an activation that is next to a kink of leaky ReLU may come out on its other side,
/// which no implementation can know. Where a gradient deviates by more than the tolerance, it is
/// therefore allowed twice what it moves by when the latents move by a rounding: a wrong formula
/// does not depend on such a move. float64 is not allowed anything.
void compare_generator_gradients(const Case& c, Generator& g,
                                 const std::function<at::Tensor(const at::Tensor& ws)>& synthesize);

/// Backward from a scalar, with the network's gradients cleared before.
void backward(const at::Tensor& loss, Network& network);

/// The reference takes sample i for group i mod (N/G) of minibatch standard deviation, Galette
/// takes consecutive samples. order[k] is the reference's sample at Galette's place k; for a tensor
/// whose first axis is the batch, on its device.
at::Tensor consecutive_groups(const at::Tensor& batched, int64_t group_size);
/// The inverse permutation.
at::Tensor inverse_order(const at::Tensor& order);

}  // namespace galette::golden
