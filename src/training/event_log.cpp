// SPDX-License-Identifier: Apache-2.0
#include "training/event_log.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <unistd.h>

#include "base/host_name.h"
#include "io/file_util.h"
#include "io/image_codec.h"
#include "io/resize.h"

namespace galette {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kFilePrefix = "events.out.tfevents.";
constexpr int kSheetWidth = 1024;  ///< pixels of a sheet in an event, at most

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string file_name(double seconds) {
  static int count = 0;  // of this process: a second is a long time in tests
  return fmt::format("{}{:.0f}.{}.{}.{}", kFilePrefix, std::floor(seconds), host_name(), ::getpid(),
                     count++);
}

template <typename Row>
int64_t step_of(const Row& row) {
  return static_cast<int64_t>(
      std::floor(row.at("Progress/kimg").at("mean").template get<double>()));
}

/// Of the last line that is an object.
std::optional<json> last_line(const fs::path& path) {
  std::ifstream file(path);
  std::optional<json> last;
  for (std::string line; std::getline(file, line);) {
    json object = json::parse(line, nullptr, false);
    if (object.is_object()) last = std::move(object);
  }
  return last;
}

/// Metrics that were computed for the snapshot of a tick.
void add_metrics(const std::string& folder, double tick, io::Event& event) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("metric-") || entry.path().extension() != ".jsonl") continue;
    const std::optional<json> line = last_line(entry.path());
    if (!line || !line->contains("tick") || line->at("tick") != tick) continue;
    for (const auto& [metric, value] : line->at("results").items()) {
      if (value.is_number()) event.scalars.emplace_back("Metrics/" + metric, value);
    }
  }
}

io::EventPicture small_picture(const std::string& sheet, const std::string& folder) {
  io::Image image = io::decode_image(io::read_file(sheet), sheet);
  if (image.width > kSheetWidth) {
    image = io::resize_lanczos(image, kSheetWidth, image.height * kSheetWidth / image.width);
  }
  const std::string path = folder + "/fakes-small.png";
  io::write_png(path, image);
  const std::vector<uint8_t> bytes = io::read_file(path);
  fs::remove(path);
  return {"fakes", image.width, image.height, image.channels, {bytes.begin(), bytes.end()}};
}

}  // namespace

EventLog::EventLog(std::string folder) : folder_(std::move(folder)) {
  std::set<double> times;
  int64_t first_step = 0;
  std::ifstream rows(folder_ + "/stats.jsonl");
  for (std::string line; std::getline(rows, line);) {
    const json row = json::parse(line, nullptr, false);
    if (!row.is_object() || !row.contains("timestamp")) continue;
    times.insert(row.at("timestamp").get<double>());
    first_step = step_of(row) + 1;
  }
  std::vector<std::string> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    if (entry.path().filename().string().starts_with(kFilePrefix)) files.push_back(entry.path());
  }
  for (const std::string& file : files) io::keep_events(file, times);
  const double seconds = now();
  file_ = std::make_unique<io::EventFile>(folder_ + "/" + file_name(seconds), seconds, first_step);
}

void EventLog::add(const nlohmann::ordered_json& row, const std::string& sheet) {
  io::Event event{row.at("timestamp").get<double>(), step_of(row), {}, {}};
  for (const auto& [name, value] : row.items()) {
    if (value.is_object() && value.at("mean").is_number()) {
      event.scalars.emplace_back(name, value.at("mean").get<double>());
    }
  }
  if (!sheet.empty()) {  // a snapshot, and only those have metrics
    add_metrics(folder_, row.at("Progress/tick").at("mean").get<double>(), event);
    if (fs::exists(sheet)) event.pictures.push_back(small_picture(sheet, folder_));
  }
  file_->append(event);
}

}  // namespace galette
