// SPDX-License-Identifier: Apache-2.0
#include "training/run_lock.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/host_name.h"
#include "io/check.h"

namespace galette {
namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr seconds kRefreshEvery{20};
constexpr seconds kDeadAfter{120};
constexpr seconds kLookEvery{1};
constexpr std::chrono::milliseconds kSettle{
    300};  // for another process that takes over at the same moment

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// When a process started, in clock ticks after the boot; "" when there is no such process. A
/// number that was given to another process later differs in this.
std::string start_of_process(int64_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(file, text, '\0');
  // The fields after the command's name, which may hold anything, in parentheses: state is the 3rd.
  const size_t end_of_name = text.rfind(')');
  if (end_of_name == std::string::npos) return "";
  std::istringstream fields(text.substr(end_of_name + 1));
  constexpr int kStateField = 3, kStartField = 22;
  std::string field;
  for (int i = kStateField; i <= kStartField; ++i) {
    fields >> field;
    if (i == kStateField && field == "Z") return "";  // dead, but not yet waited for
  }
  return field;
}

json record_of_this_process(int64_t generation) {
  return {{"host", host_name()},
          {"pid", getpid()},
          {"start", start_of_process(getpid())},
          {"job", environment("SLURM_JOB_ID")},
          {"job_restart", environment("SLURM_RESTART_COUNT")},
          {"generation", generation}};
}

/// Empty when the lock is gone; one that cannot be understood is nobody's.
json read_record(const std::string& path) {
  std::ifstream file(path);
  if (!file) return {};
  json record = json::parse(file, nullptr, /*allow_exceptions=*/false);
  return record.is_object() ? record : json::object();
}

int64_t change_time(const std::string& path) {
  struct stat state {};
  return ::stat(path.c_str(), &state) == 0 ? int64_t{state.st_mtim.tv_sec} : 0;
}

/// Sets the time of change to now, as the file system's own clock tells it.
void touch(const std::string& path) {
  ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
}

/// Slurm runs a job once at a time, so an earlier start of the same job is dead.
bool is_later_start_of_job(const json& own, const json& holder) {
  return own["job"] != "" && holder.value("job", "") == own["job"] &&
         holder.value("job_restart", "") != own["job_restart"];
}

[[noreturn]] void refuse(const std::string& path, const json& holder) {
  const std::string job = holder.value("job", "");
  throw InputError(fmt::format(
      "{}: another trainer works in this folder (host {}, process {}{}); wait for its end, or use "
      "another --run-dir",
      path, holder.value("host", "?"), holder.value("pid", 0),
      job.empty() ? "" : ", Slurm job " + job));
}

}  // namespace

RunLock::RunLock(const std::string& folder, int64_t generation)
    : path_(folder + "/lock"),
      own_path_(fmt::format("{}/lock.{}.{}", folder, host_name(), getpid())),
      own_(record_of_this_process(generation)) {
  std::ofstream file(own_path_);
  file << own_.dump() << '\n';
  file.close();
  if (!file) {
    throw std::runtime_error(own_path_ + ": cannot be written; check permissions and free space");
  }
  try {
    acquire();
  } catch (...) {
    ::unlink(own_path_.c_str());
    throw;
  }
  refresher_ = std::thread([this] { refresh_until_stopped(); });
}

RunLock::~RunLock() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  refresher_.join();
  if (is_mine()) ::unlink(path_.c_str());
}

/// A link cannot replace a file, so only one process makes it.
bool RunLock::create() {
  if (::link(own_path_.c_str(), path_.c_str()) == 0) {
    ::unlink(own_path_.c_str());
    return true;
  }
  if (errno == EEXIST) return false;
  throw std::runtime_error(fmt::format("{}: cannot be made: {}", path_, std::strerror(errno)));
}

void RunLock::acquire() {
  if (create()) return;
  const json holder = read_record(path_);
  if (holder.is_null()) return acquire();  // it was given back in between
  if (holder.value("host", "") == own_["host"]) {
    const std::string start = start_of_process(holder.value("pid", 0));
    if (!start.empty() && start == holder.value("start", "")) refuse(path_, holder);
    return take_over();
  }
  if (is_later_start_of_job(own_, holder)) return take_over();
  const int64_t last_sign = change_time(path_);
  for (touch(own_path_); change_time(own_path_) - last_sign < kDeadAfter.count();
       touch(own_path_)) {
    if (change_time(path_) != last_sign) refuse(path_, holder);
    std::this_thread::sleep_for(kLookEvery);
  }
  take_over();
}

/// Of several processes that replace a dead lock at the same time, the last one has it.
void RunLock::take_over() {
  if (::rename(own_path_.c_str(), path_.c_str()) != 0) {
    throw std::runtime_error(
        fmt::format("{}: cannot be taken over: {}", path_, std::strerror(errno)));
  }
  std::this_thread::sleep_for(kSettle);
  if (!is_mine()) refuse(path_, read_record(path_));
}

bool RunLock::is_mine() const {
  return read_record(path_) == own_;
}

void RunLock::refresh_until_stopped() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kRefreshEvery, [this] { return stopping_; })) {
    if (is_mine()) touch(path_);
  }
}

}  // namespace galette
