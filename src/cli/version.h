// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace galette {

/// The versions of this program and of the libraries it runs with, and how it was built; one fact
/// per line. MPI need not have been started.
std::string version_text();

}  // namespace galette
