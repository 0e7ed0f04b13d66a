// SPDX-License-Identifier: Apache-2.0
// The metrics of a run's snapshots: those of --metrics that can be computed for its generator, a
// line of metric-<name>.jsonl for each. A metric that fails or has to stop costs its line only.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "metrics/metric_result.h"
#include "training/run_directory.h"
#include "training/train_detectors.h"
#include "training/train_options.h"

namespace galette {

class SnapshotMetrics {
 public:
  /// A snapshot that was just written.
  struct Snapshot {
    Generator& generator;  ///< G_ema
    std::string name;      ///< of the file
    int64_t tick = 0;
    double kimg = 0;
  };

  /// All must outlive this.
  SnapshotMetrics(const TrainOptions& options, const RunDirectory& run, Communicator& comm,
                  const io::Dataset& data, const TrainDetectors& detectors);

  bool empty() const { return metrics_.empty(); }
  /// Removes lines of `tick` and later ones, which a run that goes on writes again.
  void go_back_to(int64_t tick) const;
  /// Returns the value of the metric of --keep-best, if it was computed. `stop`: see MetricSetup.
  /// Collective.
  std::optional<double> compute(const Snapshot& snapshot, const std::function<bool()>& stop) const;

 private:
  std::optional<double> compute_one(const Metric& metric, const MetricSetup& setup,
                                    const MetricOrigin& origin) const;
  void append(const Metric& metric, const nlohmann::ordered_json& row) const;

  const TrainOptions& options_;
  const RunDirectory& run_;
  Communicator& comm_;
  const TrainDetectors& detectors_;
  std::optional<io::Dataset> unmirrored_;  ///< where the run mirrors images
  const io::Dataset& data_;                ///< without mirror images, as `galette metrics` sees it
  std::vector<Metric> metrics_;
};

/// Those of --metrics that cannot be computed, and why: `fid50k_full (needs ...)`.
/// `detectors`: kinds of the networks that there are.
std::vector<std::string> metrics_left_out(const TrainOptions& options,
                                          const std::vector<std::string>& detectors);

}  // namespace galette
