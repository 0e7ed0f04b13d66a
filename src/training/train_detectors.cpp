// SPDX-License-Identifier: Apache-2.0
#include "training/train_detectors.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "io/check.h"
#include "io/together.h"
#include "metrics/detector_file.h"
#include "metrics/metric_name.h"

namespace galette {
namespace {

/// Nothing when it cannot be read and the run goes on.
std::unique_ptr<Detector> load(const std::string& path, bool goes_on, MPI_Comm comm) {
  std::unique_ptr<Detector> detector;
  try {
    io::together(comm, [&] { detector = load_detector(path); });
  } catch (const std::runtime_error& error) {
    if (!goes_on) throw;
    log::warning("--detector: {}; training goes on without it", error.what());
    detector.reset();  // other ranks may have failed
  }
  return detector;
}

bool is_needed(const std::string& kind, const std::vector<std::string>& metrics) {
  return std::any_of(metrics.begin(), metrics.end(),
                     [&](const std::string& name) { return parse_metric(name).detector == kind; });
}

}  // namespace

std::vector<std::string> TrainDetectors::kinds() const {
  std::vector<std::string> kinds;
  for (const auto& network : networks) kinds.push_back(network->kind());
  return kinds;
}

TrainDetectors load_train_detectors(const TrainOptions& options, bool goes_on, MPI_Comm comm) {
  TrainDetectors result;
  std::vector<std::string> seen;
  for (const std::string& path : options.detectors) {
    auto detector = load(path, goes_on, comm);
    if (detector == nullptr) {
      result.is_complete = false;
      continue;
    }
    const std::string kind = detector->kind();
    if (std::find(seen.begin(), seen.end(), kind) != seen.end()) {
      throw InputError(fmt::format("--detector={}: a second one of kind {}", path, kind));
    }
    seen.push_back(kind);
    if (is_needed(kind, options.metrics)) {
      result.networks.push_back(std::move(detector));
    } else {
      log::warning("--detector={} has no effect: none of --metrics needs {}", path, kind);
    }
  }
  return result;
}

}  // namespace galette
