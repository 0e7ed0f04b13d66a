// SPDX-License-Identifier: Apache-2.0
// The names of metrics. Each has a number of generated images in it: eqt50k_int takes 50000,
// eqt200_int takes 200, and so on (ppl2_wend takes 50000 pairs, ppl2_wend1k 1000).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace galette {

/// What is computed. Those from `frechet` on look at images through a detector network.
enum class MetricKind {
  eqt_int,
  eqt_frac,
  eqr,
  scale_consistency,
  frechet,
  kernel,
  precision_recall,
  inception_score,
  path_length,  ///< through LPIPS
};

struct Metric {
  std::string name;
  MetricKind kind = MetricKind::frechet;
  int64_t samples = 0;  ///< generated images
  bool higher_is_better = true;
  std::string detector{};  ///< kind of the detector network, or lpips; empty for none
  bool is_full = false;    ///< of all real images, not of as many as are generated
};

/// Throws InputError: `'foo' is not one of ...`.
Metric parse_metric(const std::string& name);

/// Why a metric cannot be computed for generators of a family (creps, stylegan2, stylegan3, or none
/// for given images) with detectors of some kinds, among them "lpips": what is missing, or empty
/// when nothing is.
std::string metric_obstacle(const Metric& metric, const std::string& family,
                            const std::vector<std::string>& detectors = {});

}  // namespace galette
