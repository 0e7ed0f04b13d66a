// SPDX-License-Identifier: Apache-2.0
#include "training/train_detectors.h"

#include <algorithm>
#include <functional>
#include <set>

#include <fmt/format.h>

#include "base/log.h"
#include "io/check.h"
#include "io/together.h"
#include "metrics/detector_file.h"
#include "metrics/feature_cache.h"
#include "metrics/metric_name.h"
#include "training/train_networks.h"

namespace galette {
namespace {

bool any_looks_through(const std::string& detector, const std::vector<std::string>& metrics) {
  return std::any_of(metrics.begin(), metrics.end(), [&](const std::string& name) {
    return parse_metric(name).detector == detector;
  });
}

/// Does some work on all ranks together; false when it failed, of which a run that goes on is only
/// warned.
bool attempt(const char* option, bool goes_on, MPI_Comm comm, const std::function<void()>& work) {
  try {
    io::together(comm, work);
    return true;
  } catch (const std::runtime_error& error) {
    if (!goes_on) throw;
    log::warning("--{}: {}; training goes on without it", option, error.what());
    return false;
  }
}

void add(DetectorNetworks networks, const std::string& path, const TrainOptions& options,
         TrainDetectors& result) {
  const std::string& kind = networks.kind;
  if (networks.lpips) result.lpips = std::move(networks.lpips);
  if (any_looks_through(kind, options.metrics)) {
    result.networks.push_back(std::move(networks.detector));
  } else if (!result.lpips || kind != "vgg16") {
    log::warning("--detector={} has no effect: none of --metrics needs {}", path, kind);
  }
}

}  // namespace

std::vector<std::string> TrainDetectors::kinds() const {
  std::vector<std::string> kinds;
  for (const auto& network : networks) kinds.push_back(network->kind());
  if (lpips) kinds.emplace_back("lpips");
  return kinds;
}

TrainDetectors load_train_detectors(const TrainOptions& options, bool goes_on, MPI_Comm comm) {
  TrainDetectors result;
  const bool lpips = any_looks_through("lpips", options.metrics);
  const VggUse use{.features = !lpips || any_looks_through("vgg16", options.metrics),
                   .lpips = lpips};
  const at::Device device = tensor_options(options).device();
  std::set<std::string> kinds;
  for (const std::string& path : options.detectors) {
    DetectorNetworks networks;
    if (!attempt("detector", goes_on, comm,
                 [&] { networks = load_networks(path, use, options.detector_heads, device); })) {
      result.is_complete = false;
      continue;
    }
    if (!kinds.insert(networks.kind).second) {
      throw InputError(fmt::format("--detector={}: a second one of kind {}", path, networks.kind));
    }
    add(std::move(networks), path, options, result);
  }
  if (!options.detector_heads.empty() && !result.lpips) {
    log::warning("--detector-heads has no effect without ppl2_wend and the weights of VGG16");
  }
  if (!result.networks.empty()) {
    const bool is_root = io::comm_rank(comm) == 0;
    attempt("cache", goes_on, comm, [&] {
      if (is_root) result.cache = feature_cache_folder(options.cache);
    });
    result.cache = io::broadcast_text(comm, result.cache);
  }
  return result;
}

}  // namespace galette
