// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/command_tree.h"

namespace galette {

/// A script that makes bash complete commands, options and those values that are words of a list;
/// other values are completed as names of files.
std::string bash_completion(const std::vector<CommandFacts>& commands);

/// The same for zsh, as a function of its completion system.
std::string zsh_completion(const std::vector<CommandFacts>& commands);

}  // namespace galette
