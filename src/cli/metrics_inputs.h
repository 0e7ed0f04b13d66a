// SPDX-License-Identifier: Apache-2.0
// What `galette metrics` computes with, read and found to fit before anything is computed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/dataset_file.h"
#include "metrics/image_set.h"
#include "metrics/metric_result.h"
#include "models/detector.h"
#include "models/network.h"

namespace galette {

struct MetricsOptions {
  std::string network, images, data, cache, heads;
  std::vector<std::string> metrics;
  std::vector<std::string> detectors;
  std::optional<int64_t> metric_seed;
  std::optional<double> scale;
  std::string device = "auto";
  bool json = false;
};

struct MetricsInputs {
  std::vector<Metric> metrics;
  std::unique_ptr<Generator> generator;  ///< or
  std::unique_ptr<ImageSet> images;      ///< what is judged
  std::optional<io::Dataset> data;       ///< where labels or real images are needed
  std::vector<std::unique_ptr<Detector>> detectors;
  std::unique_ptr<Lpips> lpips;
  MetricOrigin origin;
  bool mirror = false;
  uint64_t seed = 0;
  double scale = 1;

  /// With neither ranks nor cache that differ from those given. This must outlive it.
  MetricSetup setup(Communicator& comm, const std::string& cache) const;
};

/// Reads all files, networks onto `device`. Throws InputError naming the option or file that does
/// not fit.
MetricsInputs load_metrics_inputs(const MetricsOptions& options, at::Device device);

}  // namespace galette
