// SPDX-License-Identifier: Apache-2.0
// One computation of one metric, and its line in metric-<name>.jsonl.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "metrics/metric_name.h"
#include "metrics/metric_setup.h"

namespace galette {

struct MetricResult {
  double value = 0;  ///< the first of them
  double seconds = 0;
  std::vector<std::pair<std::string, double>> values;  ///< by name
  int64_t num_real = 0;                                ///< real images compared with
  bool real_cached = false;                            ///< whether their features were kept before
};

/// Computes a metric that has no obstacle. Throws what for_each_batch() does. Collective.
MetricResult compute_metric(const Metric& metric, const MetricSetup& setup);

/// `eqt50k_int 45.21 dB (50000 images, 3m 04s)`; a line for each of several values.
std::string metric_text(const Metric& metric, const MetricResult& result);

/// What a metric was computed of.
struct MetricOrigin {
  std::string snapshot;             ///< file name, in the run directory; empty for none
  double kimg = 0;                  ///< thousands of images shown when it was made
  std::string dataset_fingerprint;  ///< of what it was trained with or is compared with
  std::optional<int64_t> tick;      ///< of training, when it goes on at the same time
  std::string images{};             ///< name of what was judged in place of a generator's images
};

/// metric-<name>.jsonl, in the run directory.
std::string metric_file_name(const Metric& metric);

/// With the keys of the published program, and more.
nlohmann::ordered_json metric_row(const Metric& metric, const MetricResult& result,
                                  const MetricOrigin& origin, const MetricSetup& setup);

}  // namespace galette
