// SPDX-License-Identifier: Apache-2.0
// The checkpoints of a run's folder. Their order is that of the iterations in their names: clocks
// of different nodes do not agree, and the pointer file may be stale.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "io/check.h"
#include "io/checkpoint.h"
#include "io/together.h"

namespace galette::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "checkpoint-";

/// The iteration of a name "checkpoint-<digits><suffix>", if it is one.
std::optional<int64_t> iteration_of(std::string_view name, std::string_view suffix) {
  if (!name.starts_with(kPrefix) || !name.ends_with(suffix)) return std::nullopt;
  if (name.size() <= kPrefix.size() + suffix.size()) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  name.remove_suffix(suffix.size());
  int64_t iteration = 0;
  const auto [end, error] = std::from_chars(name.begin(), name.end(), iteration);
  if (error != std::errc() || end != name.end() || iteration < 0) return std::nullopt;
  return iteration;
}

/// Paths of the checkpoints with a suffix, newest first; none when the folder does not exist.
std::vector<std::string> list_with_suffix(const std::string& folder, std::string_view suffix) {
  std::vector<std::pair<int64_t, std::string>> found;
  if (fs::exists(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      if (const auto iteration = iteration_of(entry.path().filename().string(), suffix))
        found.emplace_back(*iteration, entry.path().string());
  std::sort(found.rbegin(), found.rend());
  std::vector<std::string> paths;
  for (auto& [iteration, path] : found) paths.push_back(std::move(path));
  return paths;
}

/// The list of rank 0, on all ranks: they must try the same files in the same order.
std::vector<std::string> agreed_list(const std::string& folder, std::string_view suffix,
                                     MPI_Comm comm) {
  std::string text;
  on_root(comm, [&] { text = nlohmann::json(list_with_suffix(folder, suffix)).dump(); });
  return nlohmann::json::parse(broadcast_text(comm, text));
}

}  // namespace

std::string checkpoint_name(int64_t iteration) {
  return fmt::format("{}{:09d}.h5", kPrefix, iteration);
}

std::vector<std::string> list_checkpoints(const std::string& folder) {
  return list_with_suffix(folder, ".h5");
}

LoadedCheckpoint load_newest_checkpoint(const std::string& folder, CheckpointContent& into,
                                        MPI_Comm comm, NoneValid none_valid) {
  LoadedCheckpoint result;
  for (const auto& path : agreed_list(folder, ".h5", comm)) {
    try {
      read_checkpoint(path, into, comm);
      result.path = path;
      return result;
    } catch (const DamagedFile& error) {
      result.rejected.emplace_back(error.what());
    }
    on_root(comm, [&] { fs::rename(path, path + ".bad"); });
  }
  const auto bad = agreed_list(folder, ".h5.bad", comm);
  if (bad.empty() || none_valid == NoneValid::start_anew) return result;
  throw InputError(fmt::format(
      "{}: has {} damaged checkpoint(s) and no valid one ({}); put a good copy back, give "
      "--restart=anew to start over, or use a new folder",
      folder, bad.size(), result.rejected.empty() ? bad.front() : result.rejected.front()));
}

void sweep_checkpoint_temporaries(const std::string& folder) {
  for (const auto& path : list_with_suffix(folder, ".h5.tmp")) fs::remove(path);
}

void prune_checkpoints(const std::string& folder, size_t keep, const std::string& spared) {
  const auto paths = list_checkpoints(folder);
  const std::string spared_name = fs::path(spared).filename();
  for (size_t i = keep; i < paths.size(); ++i)
    if (fs::path(paths[i]).filename() != spared_name) fs::remove(paths[i]);
}

}  // namespace galette::io
