// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace galette {

/// The versions of this program and of the libraries it runs with, one per line.
std::string version_text();

}  // namespace galette
