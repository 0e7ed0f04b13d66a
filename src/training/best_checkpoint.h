// SPDX-License-Identifier: Apache-2.0
// Which checkpoint has the best value of a metric (--keep-best). It stays as best-<metric>.h5,
// whatever is pruned, until a better one is complete. Ranks that are told the same know the same.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "metrics/metric_name.h"

namespace galette {

class BestCheckpoint {
 public:
  /// `metric`: a name, or "none", with which nothing is ever best.
  explicit BestCheckpoint(const std::string& metric);

  /// Of an iteration whose checkpoint comes next, unless drop_offer() does.
  void offer(double value);
  void drop_offer() { offered_.reset(); }
  /// A save of the iteration begins: the name that the checkpoint is also to have, or nothing.
  std::string begin_save();
  /// It ended; returns whether there is a new best one.
  bool end_save(bool has_the_name);

  /// best-<metric>.h5; empty without a metric.
  std::string file_name() const;
  /// Into the state of a checkpoint, and out of it.
  void save(nlohmann::json& state) const;
  void load(const nlohmann::json& state);

 private:
  std::optional<Metric> metric_;
  std::optional<double> offered_, being_saved_, best_;
};

}  // namespace galette
