// SPDX-License-Identifier: Apache-2.0
// Event files as TensorBoard reads them: records of a length, its checksum, a protobuf message
// (tensorflow.Event) and its checksum. Ours hold scalars and pictures of steps; each file opens
// with the version of the format and with the step that a session starts at, which tells a running
// TensorBoard to forget what it has of that step and later ones.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/positional_file.h"

namespace galette::io {

struct EventPicture {
  std::string tag;
  int width = 0;
  int height = 0;
  int channels = 0;
  std::string encoded;  ///< PNG or JPEG
};

struct Event {
  double wall_time = 0;  ///< seconds since 1970; also what keep_events() knows an event by
  int64_t step = 0;
  std::vector<std::pair<std::string, double>> scalars;  ///< tag, value
  std::vector<EventPicture> pictures;
};

class EventFile {
 public:
  /// Makes the file. Throws InputError when it cannot.
  EventFile(const std::string& path, double wall_time, int64_t first_step);

  /// Writes one event and hands it to the operating system. Throws std::runtime_error on failure;
  /// the next event then takes the place of this one.
  void append(const Event& event);

 private:
  void write(std::string_view message);

  PositionalFile file_;
  int64_t size_ = 0;
};

/// Removes the events of a file that are not of these times, what follows a damaged record, and
/// the file itself when no event is left. The file that replaces it is synced.
void keep_events(const std::string& path, const std::set<double>& wall_times);

}  // namespace galette::io
