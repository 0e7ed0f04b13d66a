// SPDX-License-Identifier: Apache-2.0
// One trainer per run directory: a file named `lock` holds host, process, job and generation of the
// one that works there, and its time of change is refreshed while that one lives.
//
// A lock of a dead process is taken over: at once when the process was on this host, or belonged to
// an earlier start of the same Slurm job; from another host when it was not refreshed for two
// minutes, for which the new one waits.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>

namespace galette {

class RunLock {
 public:
  /// Takes the lock of a folder, on one rank. `generation`: how often this run was started. Throws
  /// InputError when a living process holds it, std::runtime_error when it cannot be written.
  RunLock(const std::string& folder, int64_t generation);
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;
  /// Gives the lock back.
  ~RunLock();

 private:
  void acquire();
  bool create();
  void take_over();
  void refresh_until_stopped();
  bool is_mine() const;

  std::string path_;
  std::string own_path_;  ///< this process's record, which becomes the lock
  nlohmann::json own_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread refresher_;
};

}  // namespace galette
