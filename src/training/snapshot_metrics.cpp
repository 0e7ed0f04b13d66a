// SPDX-License-Identifier: Apache-2.0
#include "training/snapshot_metrics.h"

#include <fmt/format.h>

#include "base/log.h"
#include "io/json_lines.h"

namespace galette {

SnapshotMetrics::SnapshotMetrics(const TrainOptions& options, const RunDirectory& run,
                                 Communicator& comm, const io::Dataset& data)
    : options_(options), run_(run), comm_(comm), data_(data) {
  for (const std::string& name : options.metrics) {
    const Metric metric = parse_metric(name);
    if (metric_obstacle(metric, options.family()).empty()) metrics_.push_back(metric);
  }
}

void SnapshotMetrics::go_back_to(int64_t tick) const {
  if (comm_.rank() != 0) return;
  for (const Metric& metric : metrics_) {
    io::truncate_after(run_.file(metric_file_name(metric)), "/tick", static_cast<double>(tick) - 1);
  }
}

std::optional<double> SnapshotMetrics::compute(const Snapshot& snapshot,
                                               const std::function<bool()>& stop) const {
  const MetricSetup setup{snapshot.generator, comm_, static_cast<uint64_t>(options_.seed), &data_,
                          stop};
  const MetricOrigin origin{snapshot.name, snapshot.kimg, data_.info().fingerprint, snapshot.tick};
  std::optional<double> deciding;
  for (const Metric& metric : metrics_) {
    try {
      const MetricResult result = compute_metric(metric, setup);
      log::info("{}", metric_text(metric, result));
      append(metric, metric_row(metric, result, origin, setup));
      if (metric.name == options_.keep_best) deciding = result.value;
    } catch (const MetricStopped&) {
      log::warning("{} of {} is left out, since the run has to stop", metric.name, snapshot.name);
      break;
    } catch (const std::exception& error) {
      log::warning("{}: {}; training goes on", metric.name, error.what());
    }
  }
  return deciding;
}

void SnapshotMetrics::append(const Metric& metric, const nlohmann::ordered_json& row) const {
  if (comm_.rank() != 0) return;
  try {
    io::JsonLines(run_.file(metric_file_name(metric))).append(row);
  } catch (const std::exception& error) {
    log::warning("{}; training goes on", error.what());
  }
}

std::vector<std::string> metrics_left_out(const TrainOptions& options) {
  std::vector<std::string> texts;
  for (const std::string& name : options.metrics) {
    const std::string obstacle = metric_obstacle(parse_metric(name), options.family());
    if (!obstacle.empty()) texts.push_back(fmt::format("{} ({})", name, obstacle));
  }
  return texts;
}

}  // namespace galette
