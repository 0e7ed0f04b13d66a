// SPDX-License-Identifier: Apache-2.0
// Runs of a tiny network on a tiny dataset, started as a user starts them, and what may happen to
// them meanwhile.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/types.h>

#include "tests/cli/program.h"

namespace galette::testing {

/// A folder that lives as long as the tests do; it holds the dataset `set.h5`: 40 blobs of colour,
/// 8x8.
const std::string& tiny_folder();

/// Waits until a condition holds; false after `seconds`.
bool wait_until(const std::function<bool()>& condition, double seconds = 60);

class TinyRun {
 public:
  /// A run directory of that name in tiny_folder(), or elsewhere if the name is a path.
  TinyRun(const std::string& name, int ranks, std::string options);

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  int ranks() const { return ranks_; }

  /// Its options, but for the run directory.
  std::string options(const std::string& more = "") const;
  /// Starts the run or goes on with it. `more`: further options; `variables`: environment.
  Outcome train(const std::string& more = "", const std::string& variables = "") const;
  /// The same while another thread does something.
  Outcome train_while(const std::function<void()>& action, const std::string& more = "",
                      const std::string& variables = "") const;

  /// Process numbers of the ranks that run now.
  std::map<int, pid_t> processes() const;
  /// Sends a signal to some ranks; false when they do not run.
  bool send(int signal, const std::vector<int>& to) const;
  bool has_checkpoint() const;
  /// How often training began or went on, by log.txt.
  int times_started() const;
  std::string text_of(const std::string& name) const;
  /// Rows of stats.jsonl.
  std::vector<nlohmann::json> rows() const;

 private:
  std::string path_;
  int ranks_;
  std::string options_;
};

/// Expects the newest checkpoints to be equal bit for bit, in arrays and in what else decides how a
/// run goes on, and the rows of stats.jsonl to tell the same losses, each tick once.
void expect_equal_runs(const TinyRun& run, const TinyRun& other);

}  // namespace galette::testing
