// SPDX-License-Identifier: Apache-2.0
#include "metrics/metric_result.h"

#include <chrono>

#include <fmt/format.h>

#include "base/time_text.h"
#include "metrics/feature_metrics.h"
#include "metrics/generator_metrics.h"

namespace galette {
namespace {

using Seconds = std::chrono::duration<double>;

FeatureResult result_of(const Metric& metric, const MetricSetup& setup) {
  if (!metric.detector.empty()) return feature_metric(metric, setup);
  const bool is_scale = metric.kind == MetricKind::scale_consistency;
  const double value = is_scale ? scale_consistency(metric, setup) : equivariance(metric, setup);
  return {{{metric.name, value}}, 0};
}

}  // namespace

MetricResult compute_metric(const Metric& metric, const MetricSetup& setup) {
  const auto start = std::chrono::steady_clock::now();
  FeatureResult result = result_of(metric, setup);
  const double seconds = Seconds(std::chrono::steady_clock::now() - start).count();
  return {result.values.front().second, seconds, std::move(result.values), result.num_real};
}

std::string metric_text(const Metric& metric, const MetricResult& result) {
  std::string text;
  for (const auto& [name, value] : result.values) {
    if (!text.empty()) text += '\n';
    text += fmt::format("{:<24} {:.{}f}{}  ({} images, {})", name, value,
                        metric.detector.empty() ? 3 : 5, metric.detector.empty() ? " dB" : "",
                        metric.samples, format_duration(result.seconds));
  }
  return text;
}

std::string metric_file_name(const Metric& metric) {
  return fmt::format("metric-{}.jsonl", metric.name);
}

nlohmann::ordered_json metric_row(const Metric& metric, const MetricResult& result,
                                  const MetricOrigin& origin, const MetricSetup& setup) {
  nlohmann::ordered_json row;
  for (const auto& [name, value] : result.values) row["results"][name] = value;
  row["metric"] = metric.name;
  row["total_time"] = result.seconds;
  row["total_time_str"] = format_duration(result.seconds);
  row["num_gpus"] = setup.comm.size();
  row["snapshot_pkl"] = origin.snapshot;
  row["timestamp"] = Seconds(std::chrono::system_clock::now().time_since_epoch()).count();
  row["kimg"] = origin.kimg;
  if (origin.tick) row["tick"] = *origin.tick;
  row["dataset_fingerprint"] = origin.dataset_fingerprint;
  const Detector* detector = detector_of(metric, setup);
  row["detector_sha256"] = nullptr;
  if (detector != nullptr) row["detector_sha256"] = detector->digest();
  row["num_real"] = result.num_real;
  row["num_gen"] = metric.samples;
  row["metric_seed"] = setup.seed;
  row["version"] = GALETTE_VERSION;
  return row;
}

}  // namespace galette
