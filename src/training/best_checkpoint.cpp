// SPDX-License-Identifier: Apache-2.0
#include "training/best_checkpoint.h"

#include <cmath>
#include <limits>
#include <utility>

namespace galette {

BestCheckpoint::BestCheckpoint(const std::string& metric) {
  if (metric != "none") metric_ = parse_metric(metric);
}

void BestCheckpoint::offer(double value) {
  if (!metric_ || std::isnan(value)) return;
  const bool is_better = !best_ || (metric_->higher_is_better ? value > *best_ : value < *best_);
  if (is_better) offered_ = value;
}

std::string BestCheckpoint::begin_save() {
  being_saved_ = std::exchange(offered_, std::nullopt);
  return being_saved_ ? file_name() : "";
}

bool BestCheckpoint::end_save(bool has_the_name) {
  const std::optional<double> saved = std::exchange(being_saved_, std::nullopt);
  if (!saved || !has_the_name) return false;
  best_ = saved;
  return true;
}

std::string BestCheckpoint::file_name() const {
  return metric_ ? "best-" + metric_->name + ".h5" : "";
}

void BestCheckpoint::save(nlohmann::json& state) const {
  const std::optional<double> value = offered_ ? offered_ : being_saved_ ? being_saved_ : best_;
  if (value) state["best"] = {{"metric", metric_->name}, {"value", *value}};
}

void BestCheckpoint::load(const nlohmann::json& state) {
  if (!metric_ || !state.contains("best") || state["best"].at("metric") != metric_->name) return;
  const nlohmann::json& value = state["best"].at("value");
  // Infinity was stored as null; the lowest metrics never reach it.
  best_ = value.is_null() ? std::numeric_limits<double>::infinity() : value.get<double>();
}

}  // namespace galette
