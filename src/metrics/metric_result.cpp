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
  switch (metric.kind) {
    case MetricKind::path_length:
      return {{{metric.name, path_length(metric, setup)}}};
    case MetricKind::scale_consistency:
      return {{{metric.name, scale_consistency(metric, setup)}}};
    case MetricKind::eqt_int:
    case MetricKind::eqt_frac:
    case MetricKind::eqr:
      return {{{metric.name, equivariance(metric, setup)}}};
    default:
      return feature_metric(metric, setup);
  }
}

/// Of what looked at the images; nullptr when nothing did.
nlohmann::json detector_digest(const Metric& metric, const MetricSetup& setup) {
  if (metric.kind == MetricKind::path_length) return setup.lpips->digest();
  const Detector* detector = detector_of(metric, setup);
  if (detector == nullptr) return nullptr;
  return detector->digest();
}

}  // namespace

MetricResult compute_metric(const Metric& metric, const MetricSetup& setup) {
  const auto start = std::chrono::steady_clock::now();
  FeatureResult result = result_of(metric, setup);
  const double seconds = Seconds(std::chrono::steady_clock::now() - start).count();
  return {result.values.front().second, seconds, std::move(result.values), result.num_real,
          result.real_cached};
}

std::string metric_text(const Metric& metric, const MetricResult& result) {
  std::string text;
  for (const auto& [name, value] : result.values) {
    if (!text.empty()) text += '\n';
    text += fmt::format("{:<24} {:.{}f}{}  ({} images, {}{})", name, value,
                        metric.detector.empty() ? 3 : 5, metric.detector.empty() ? " dB" : "",
                        metric.samples, result.real_cached ? "real ones from the cache, " : "",
                        format_duration(result.seconds));
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
  row["snapshot_pkl"] = nullptr;
  if (!origin.snapshot.empty()) row["snapshot_pkl"] = origin.snapshot;
  if (!origin.images.empty()) row["images"] = origin.images;
  row["timestamp"] = Seconds(std::chrono::system_clock::now().time_since_epoch()).count();
  row["kimg"] = nullptr;
  if (!origin.snapshot.empty()) row["kimg"] = origin.kimg;
  if (setup.scale != 1) row["scale"] = setup.scale;
  if (origin.tick) row["tick"] = *origin.tick;
  row["dataset_fingerprint"] = origin.dataset_fingerprint;
  row["detector_sha256"] = detector_digest(metric, setup);
  row["num_real"] = result.num_real;
  row["real_cached"] = result.real_cached;
  row["num_gen"] = metric.samples;
  row["metric_seed"] = setup.seed;
  row["version"] = GALETTE_VERSION;
  return row;
}

}  // namespace galette
