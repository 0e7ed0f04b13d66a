// SPDX-License-Identifier: Apache-2.0
#include "metrics/metric_result.h"

#include <chrono>

#include <fmt/format.h>

#include "base/time_text.h"
#include "metrics/generator_metrics.h"

namespace galette {
namespace {

using Seconds = std::chrono::duration<double>;

double value_of(const Metric& metric, const MetricSetup& setup) {
  switch (metric.kind) {
    case MetricKind::by_detector:
      throw std::logic_error(metric.name + " needs a detector network");
    case MetricKind::scale_consistency:
      return scale_consistency(metric, setup);
    default:
      return equivariance(metric, setup);
  }
}

}  // namespace

MetricResult compute_metric(const Metric& metric, const MetricSetup& setup) {
  const auto start = std::chrono::steady_clock::now();
  const double value = value_of(metric, setup);
  return {value, Seconds(std::chrono::steady_clock::now() - start).count()};
}

std::string metric_text(const Metric& metric, const MetricResult& result) {
  return fmt::format("{:<24} {:.3f} dB  ({} images, {})", metric.name, result.value, metric.samples,
                     format_duration(result.seconds));
}

std::string metric_file_name(const Metric& metric) {
  return fmt::format("metric-{}.jsonl", metric.name);
}

nlohmann::ordered_json metric_row(const Metric& metric, const MetricResult& result,
                                  const MetricOrigin& origin, const MetricSetup& setup) {
  nlohmann::ordered_json row;
  row["results"][metric.name] = result.value;
  row["metric"] = metric.name;
  row["total_time"] = result.seconds;
  row["total_time_str"] = format_duration(result.seconds);
  row["num_gpus"] = setup.comm.size();
  row["snapshot_pkl"] = origin.snapshot;
  row["timestamp"] = Seconds(std::chrono::system_clock::now().time_since_epoch()).count();
  row["kimg"] = origin.kimg;
  if (origin.tick) row["tick"] = *origin.tick;
  row["dataset_fingerprint"] = origin.dataset_fingerprint;
  row["detector_sha256"] = nullptr;
  row["num_real"] = 0;
  row["num_gen"] = metric.samples;
  row["metric_seed"] = setup.seed;
  row["version"] = GALETTE_VERSION;
  return row;
}

}  // namespace galette
