// SPDX-License-Identifier: Apache-2.0
#include "io/json_lines.h"

#include <filesystem>

#include "io/check.h"

namespace galette::io {
namespace {

using Json = nlohmann::ordered_json;

bool keep_line(const std::string& line, const Json::json_pointer& pointer, double last) {
  const Json object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded()) return false;
  if (!object.contains(pointer) || !object[pointer].is_number()) return true;
  return object[pointer].get<double>() <= last;
}

}  // namespace

JsonLines::JsonLines(const std::string& path) : path_(path), file_(path, std::ios::app) {
  if (!file_)
    throw InputError(path + ": cannot be opened for writing; check the folder's permissions");
}

void JsonLines::append(const Json& object) {
  // The JSON library itself writes NaN and infinity as null.
  unwritten_ += object.dump() + '\n';
  const auto size = std::filesystem::file_size(path_);
  file_ << unwritten_ << std::flush;
  if (!file_) {
    file_.close();
    std::filesystem::resize_file(path_, size);  // no half line
    file_.clear();
    file_.open(path_, std::ios::app);
    throw std::runtime_error(path_ + ": writing failed; is the disk full?");
  }
  unwritten_.clear();
}

int64_t truncate_after(const std::string& path, const std::string& pointer, double last) {
  std::ifstream file(path);
  if (!file) return 0;
  const Json::json_pointer at(pointer);
  uintmax_t kept_bytes = 0;
  int64_t dropped = 0;
  std::string line;
  while (std::getline(file, line)) {
    // A line that a crash cut short has no end; getline stops at the end of the file there.
    const bool complete = !file.eof();
    if (dropped == 0 && complete && keep_line(line, at, last)) {
      kept_bytes += line.size() + 1;
    } else {
      ++dropped;
    }
  }
  file.close();
  if (dropped > 0) std::filesystem::resize_file(path, kept_bytes);
  return dropped;
}

}  // namespace galette::io
