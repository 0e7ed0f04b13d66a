// SPDX-License-Identifier: Apache-2.0
// The options of what metrics look through, alike in training and in `galette metrics`.
#pragma once

#include <string>
#include <vector>

#include "base/option_table.h"

namespace galette {

/// Adds --detector (files), --detector-heads (a file) and --cache (see feature_cache_folder()).
void add_detector_options(OptionTable& table, std::vector<std::string>& detectors,
                          std::string& heads, std::string& cache);

}  // namespace galette
