// SPDX-License-Identifier: Apache-2.0
// Failing together: work that may fail on some ranks only, such as opening a file, ends with the
// same exception on all of them, so that no rank is left waiting for one that has gone.
#pragma once

#include <functional>
#include <string>

#include "parallel/communicator.h"

namespace galette {

/// Runs `work` on every rank. When it throws anywhere, all ranks throw the message of the lowest
/// rank that failed: InputError if that rank's was one, else std::runtime_error. Collective.
void agree_or_throw(Communicator& comm, const std::function<void()>& work);

/// Runs `work` on rank 0 alone and returns its text on all ranks; failures as above. Collective.
std::string run_on_root_or_throw(Communicator& comm, const std::function<std::string()>& work);

}  // namespace galette
