// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace galette {

/// Of the machine that this process runs on; "unknown" when the system does not tell.
std::string host_name();

}  // namespace galette
