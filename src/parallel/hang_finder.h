// SPDX-License-Identifier: Apache-2.0
// Decides from the heartbeats of all ranks whether the run hangs, and which rank is to blame.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "parallel/heartbeat.h"

namespace galette {

/// What the watching rank knows of another one.
struct RankView {
  double silent = 0;         ///< seconds since its last message
  Heartbeat::Report report;  ///< of that message
};

/// One line that names the rank, the iteration and the section, when a rank has been silent or in
/// one section for too long; nothing otherwise. `limit`: seconds that are allowed unless a section
/// says otherwise; 0: a rank may take any time. A silent rank is to blame before one that waits;
/// among waiting ones it is that which entered the fewest sections.
std::optional<std::string> find_hang(const std::vector<RankView>& ranks, double limit);

}  // namespace galette
