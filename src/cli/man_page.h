// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/command_tree.h"

namespace galette {

/// The manual page galette(1), in roff with the macros of man(7).
std::string man_page(const std::vector<CommandFacts>& commands);

}  // namespace galette
