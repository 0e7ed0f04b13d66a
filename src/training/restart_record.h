// SPDX-License-Identifier: Apache-2.0
// How often a run was started, and how often in a row from the same iteration: the file
// restarts.json of the run directory. A run that dies at the same place again and again must not be
// started for ever.
#pragma once

#include <cstdint>
#include <string>

namespace galette {

/// After so many restarts without an iteration that was saved, the next one is refused.
inline constexpr int64_t kRestartsWithoutProgress = 3;

class RestartRecord {
 public:
  /// Reads the record of a run directory; one that is missing or damaged counts as none.
  explicit RestartRecord(const std::string& folder);

  /// Starts of this run before this one.
  int64_t generation() const { return generation_; }

  /// Notes that this start goes on from `iteration`, durably. False when it is one restart too many
  /// from there; the count then begins anew, for a person who starts the run by hand.
  bool note_start(int64_t iteration);

 private:
  std::string path_;
  int64_t generation_ = 0;
  int64_t iteration_ = -1;
  int64_t restarts_ = 0;  ///< from iteration_, after the first start from there
};

}  // namespace galette
