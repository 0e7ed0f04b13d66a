// SPDX-License-Identifier: Apache-2.0
#include "training/restart_record.h"

#include <fstream>

#include <nlohmann/json.hpp>

#include "io/durable.h"
#include "io/file_util.h"

namespace galette {

using nlohmann::json;

RestartRecord::RestartRecord(const std::string& folder) : path_(folder + "/restarts.json") {
  std::ifstream file(path_);
  const json record = json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!record.is_object()) return;
  generation_ = record.value("starts", int64_t{0});
  iteration_ = record.value("iteration", int64_t{-1});
  restarts_ = record.value("restarts_from_there", int64_t{0});
}

bool RestartRecord::note_start(int64_t iteration) {
  restarts_ = iteration == iteration_ ? restarts_ + 1 : 0;
  iteration_ = iteration;
  const bool allowed = restarts_ <= kRestartsWithoutProgress;
  const json record{{"starts", generation_ + 1},
                    {"iteration", allowed ? iteration_ : -1},
                    {"restarts_from_there", restarts_}};
  const std::string text = record.dump() + "\n";
  io::write_file(path_, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  io::sync_path(io::parent_folder(path_));
  return allowed;
}

}  // namespace galette
