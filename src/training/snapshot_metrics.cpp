// SPDX-License-Identifier: Apache-2.0
#include "training/snapshot_metrics.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "base/log.h"
#include "io/json_lines.h"

namespace galette {
namespace {

std::optional<io::Dataset> unmirrored(const TrainOptions& options, const io::Dataset& data) {
  if (!options.mirror) return std::nullopt;
  return io::Dataset::open(data.info().path, {.labels = options.cond});
}

}  // namespace

SnapshotMetrics::SnapshotMetrics(const TrainOptions& options, const RunDirectory& run,
                                 Communicator& comm, const io::Dataset& data,
                                 const TrainDetectors& detectors)
    : options_(options),
      run_(run),
      comm_(comm),
      detectors_(detectors),
      unmirrored_(unmirrored(options, data)),
      data_(unmirrored_ ? *unmirrored_ : data) {
  const std::vector<std::string> kinds = detectors.kinds();
  for (const std::string& name : options.metrics) {
    const Metric metric = parse_metric(name);
    if (metric_obstacle(metric, options.family(), kinds).empty()) metrics_.push_back(metric);
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
  MetricSetup setup{snapshot.generator, comm_, static_cast<uint64_t>(options_.seed), &data_, stop};
  for (const auto& detector : detectors_.networks) setup.detectors.push_back(detector.get());
  setup.lpips = detectors_.lpips.get();
  setup.cache = detectors_.cache;
  setup.mirror = options_.mirror;
  const MetricOrigin origin{snapshot.name, snapshot.kimg, data_.info().fingerprint, snapshot.tick};
  std::optional<double> deciding;
  for (const Metric& metric : metrics_) {
    try {
      const std::optional<double> value = compute_one(metric, setup, origin);
      if (metric.name == options_.keep_best) deciding = value;
    } catch (const MetricStopped&) {
      log::warning("{} of {} is left out, since the run has to stop", metric.name, snapshot.name);
      break;
    }
  }
  return deciding;
}

std::optional<double> SnapshotMetrics::compute_one(const Metric& metric, const MetricSetup& setup,
                                                   const MetricOrigin& origin) const {
  std::string failure;
  try {
    const MetricResult result = compute_metric(metric, setup);
    log::info("{}", metric_text(metric, result));
    append(metric, metric_row(metric, result, origin, setup));
    return result.value;
  } catch (const MetricStopped&) {
    throw;
  } catch (const c10::Error& error) {
    failure = error.what_without_backtrace();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  log::warning("{}: {}; training goes on", metric.name, failure);
  return std::nullopt;
}

void SnapshotMetrics::append(const Metric& metric, const nlohmann::ordered_json& row) const {
  if (comm_.rank() != 0) return;
  try {
    io::JsonLines(run_.file(metric_file_name(metric))).append(row);
  } catch (const std::exception& error) {
    log::warning("{}; training goes on", error.what());
  }
}

std::vector<std::string> metrics_left_out(const TrainOptions& options,
                                          const std::vector<std::string>& detectors) {
  std::vector<std::string> texts;
  for (const std::string& name : options.metrics) {
    const std::string obstacle = metric_obstacle(parse_metric(name), options.family(), detectors);
    if (!obstacle.empty()) texts.push_back(fmt::format("{} ({})", name, obstacle));
  }
  return texts;
}

}  // namespace galette
