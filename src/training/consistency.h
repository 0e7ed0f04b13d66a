// SPDX-License-Identifier: Apache-2.0
// Ranks keep equal copies of networks and moments without ever comparing them; this does.
#pragma once

#include <string>

#include "parallel/communicator.h"
#include "training/train_state.h"

namespace galette {

/// The first array of the state whose bytes differ between ranks, or an empty text. Collective.
std::string inconsistent_array(const TrainState& state, Communicator& comm);

}  // namespace galette
