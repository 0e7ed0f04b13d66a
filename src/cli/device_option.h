// SPDX-License-Identifier: Apache-2.0
// What commands that use trained networks compute on.
#pragma once

#include <string>

#include <ATen/ATen.h>

#include "parallel/communicator.h"

namespace galette {

/// This rank's device as --device asks for it, chosen as in training: a GPU of its own, or the CPU.
/// From now on this thread uses it, and products of float32 keep all their bits there. Collective;
/// all ranks throw InputError as choose_device() does.
at::Device use_device(const std::string& wish, Communicator& comm);

}  // namespace galette
