// SPDX-License-Identifier: Apache-2.0
// Metrics that compare what a detector network makes of generated and of real images. Every rank
// computes its part of the images; results do not depend on the number of ranks but for rounding.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "metrics/metric_name.h"
#include "metrics/metric_setup.h"

namespace galette {

struct FeatureResult {
  std::vector<std::pair<std::string, double>> values;  ///< by name
  int64_t num_real = 0;                                ///< real images compared with
  bool real_cached = false;  ///< whether their features were in `setup.cache`
};

/// Names and values are those of the published program: `fid50k_full`, or `pr50k3_precision` and
/// `pr50k3_recall`, or `is50k_mean` and `is50k_std`. `setup` has the detector, and the dataset
/// where real images take part: all of it for `_full` ones (200,000 for pr, 1,000,000 for kid),
/// without mirror images, else as many as are generated. Generated images have random noise, which
/// is a function of seed and sample. Every rank keeps the features of its part of the images only.
/// Throws InputError, the same on all ranks, when there are too few images. Collective.
FeatureResult feature_metric(const Metric& metric, const MetricSetup& setup);

/// Whether a metric looks at real images.
bool needs_real_images(const Metric& metric);

/// That of the metric among those of `setup`; nullptr when it is missing or none is needed.
const Detector* detector_of(const Metric& metric, const MetricSetup& setup);

}  // namespace galette
