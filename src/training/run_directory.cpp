// SPDX-License-Identifier: Apache-2.0
#include "training/run_directory.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "io/check.h"
#include "io/together.h"

namespace galette {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kOptionsFile = "training_options.json";

[[noreturn]] void throw_unwritable(const std::string& what, const std::error_code& why) {
  throw InputError(fmt::format("{}: {}; give a folder that you may write to", what, why.message()));
}

void make_folders(const char* option, const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw_unwritable(fmt::format("--{}={}", option, path), error);
  if (!fs::is_directory(path)) throw InputError(fmt::format("--{}={}: not a folder", option, path));
}

int64_t largest_number(const std::string& outdir) {
  int64_t largest = -1;
  for (const auto& entry : fs::directory_iterator(outdir)) {
    const std::string name = entry.path().filename();
    int64_t number = -1;
    std::from_chars(name.data(), name.data() + name.size(), number);
    if (entry.is_directory()) largest = std::max(largest, number);
  }
  return largest;
}

Json record_of(const OptionTable& table, const DatasetFacts& data) {
  Json record = table.to_json();
  record["dataset"] = {{"name", data.name},
                       {"num_images", data.num_images},
                       {"resolution", data.resolution},
                       {"channels", data.channels},
                       {"label_dim", data.label_dim},
                       {"fingerprint", data.fingerprint}};
  return record;
}

Json read_record(const std::string& path) {
  std::ifstream file(path);
  Json record = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!record.is_object()) {
    throw InputError(path + ": is not the record of a run; remove it or give another --run-dir");
  }
  return record;
}

void require_same_run(const std::string& dir, const Json& there, const OptionTable& table,
                      const DatasetFacts& data) {
  std::vector<std::string> texts = table.differences(there);
  const Json set = there.value("dataset", Json::object());
  const auto fingerprint = set.value("fingerprint", data.fingerprint);
  if (fingerprint != data.fingerprint) {
    texts.push_back(fmt::format("--data (other images: {} {} there, {} {} here)",
                                set.value("name", "?"), fingerprint.substr(0, 8), data.name,
                                data.fingerprint.substr(0, 8)));
  }
  if (texts.empty()) return;
  throw InputError(fmt::format(
      "{}: holds a run made with other options: {}; give the same ones or another --run-dir", dir,
      fmt::join(texts, ", ")));
}

/// Through a temporary file, so that a crash leaves the old or the new record.
void write_record(const std::string& path, const Json& record) {
  const std::string temporary = path + ".tmp";
  std::ofstream file(temporary);
  file << record.dump(2) << '\n';
  file.close();
  if (!file) throw InputError(temporary + ": cannot be written; check permissions and free space");
  fs::rename(temporary, path);
}

std::string prepare_on_root(const TrainOptions& options, const OptionTable& table,
                            const DatasetFacts& data, bool& had_run) {
  std::string dir = options.run_dir;
  if (dir.empty()) {
    dir = make_numbered_directory(options.outdir, run_name(options, data));
  } else {
    make_folders("run-dir", dir);
  }
  const std::string record = dir + "/" + kOptionsFile;
  had_run = holds_run(dir);
  if (had_run && options.restart == "never") {
    throw InputError(dir +
                     ": holds a run already, and --restart=never: give another --run-dir, or "
                     "--restart=auto to go on with it");
  }
  if (had_run) require_same_run(dir, read_record(record), table, data);
  write_record(record, record_of(table, data));
  return dir;
}

}  // namespace

bool holds_run(const std::string& path) {
  return fs::exists(path + "/" + kOptionsFile);
}

std::string run_name(const TrainOptions& o, const DatasetFacts& data) {
  std::string name =
      fmt::format("{}-{}-gpus{}-batch{}-gamma{:g}", o.cfg, data.name, *o.gpus, o.batch, *o.gamma);
  if (!o.desc.empty()) name += "-" + o.desc;
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

std::string make_numbered_directory(const std::string& outdir, const std::string& name) {
  make_folders("outdir", outdir);
  for (int64_t number = largest_number(outdir) + 1;; ++number) {
    const std::string path = fmt::format("{}/{:05d}-{}", outdir, number, name);
    std::error_code error;
    if (fs::create_directory(path, error)) return path;
    if (error) throw_unwritable(fmt::format("--outdir={}: cannot make {}", outdir, path), error);
  }
}

RunDirectory RunDirectory::prepare(const TrainOptions& options, const OptionTable& table,
                                   const DatasetFacts& data, MPI_Comm comm) {
  std::string path;
  bool had_run = false;
  io::on_root(comm, [&] { path = prepare_on_root(options, table, data, had_run); });
  path = io::broadcast_text(comm, path);
  MPI_CHECK(MPI_Bcast(&had_run, 1, MPI_CXX_BOOL, 0, comm));
  return {std::move(path), had_run};
}

}  // namespace galette
