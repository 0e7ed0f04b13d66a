// SPDX-License-Identifier: Apache-2.0
#include "cli/metrics_inputs.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "cli/generator_file.h"
#include "io/check.h"
#include "io/network_exchange.h"
#include "metrics/detector_file.h"
#include "metrics/feature_metrics.h"

namespace galette {
namespace {

namespace fs = std::filesystem;

constexpr double kMostSide = 1 << 14;  // of images that are held in memory

bool any_looks_through(const std::string& detector, const std::vector<Metric>& metrics) {
  return std::any_of(metrics.begin(), metrics.end(),
                     [&](const Metric& metric) { return metric.detector == detector; });
}

void check_subject(const MetricsOptions& o) {
  if (o.network.empty() == o.images.empty()) {
    throw InputError(o.images.empty() ? "--network: give a network, or --images"
                                      : "--network, --images: only one of them can be given");
  }
  if (o.metrics.empty()) throw InputError("--metrics=none: name at least one");
  if (o.scale && !o.images.empty()) {
    throw InputError(fmt::format("--scale: {} has images already; leave it out", o.images));
  }
}

void load_detectors(const MetricsOptions& o, at::Device device, MetricsInputs& in) {
  const bool lpips = any_looks_through("lpips", in.metrics);
  const VggUse use{.features = !lpips || any_looks_through("vgg16", in.metrics), .lpips = lpips};
  std::set<std::string> kinds;
  for (const std::string& path : o.detectors) {
    DetectorNetworks networks = load_networks(path, use, o.heads, device);
    if (!kinds.insert(networks.kind).second) {
      throw InputError(fmt::format("--detector={}: a second one of kind {}", path, networks.kind));
    }
    if (networks.detector) in.detectors.push_back(std::move(networks.detector));
    if (networks.lpips) in.lpips = std::move(networks.lpips);
  }
  if (!o.heads.empty() && kinds.count("vgg16") == 0) {
    throw InputError("--detector-heads: needs the weights of VGG16 in --detector too");
  }
}

/// Throws for a metric that cannot be computed. `family`: of the network, empty for given images.
void require_computable(const std::string& family, const MetricsInputs& in) {
  std::vector<std::string> kinds;
  for (const auto& detector : in.detectors) kinds.push_back(detector->kind());
  if (in.lpips) kinds.emplace_back("lpips");
  for (const Metric& metric : in.metrics) {
    const std::string obstacle = metric_obstacle(metric, family, kinds);
    if (!obstacle.empty()) throw InputError(fmt::format("--metrics={}: {}", metric.name, obstacle));
  }
}

/// Metrics at another scale than 1 have their own names and files.
void set_scale(double scale, const std::string& family, MetricsInputs& in) {
  if (family != "creps") {
    throw InputError("--scale: works with CREPS networks only; leave it out");
  }
  const double side = std::floor(scale * static_cast<double>(in.generator->img_resolution()));
  if (!(side >= 1) || side > kMostSide) {
    throw InputError(
        fmt::format("--scale={}: images would be {:.4g} pixels wide; 1 to {} are possible", scale,
                    side, kMostSide));
  }
  if (scale == 1) return;
  for (Metric& metric : in.metrics) {
    if (metric.kind == MetricKind::scale_consistency) {
      throw InputError(fmt::format("--scale: {} has scales of its own; leave it out", metric.name));
    }
    metric.name += fmt::format("_scale{}", scale);
  }
  in.scale = scale;
}

void check_images(const Generator& g, const MetricsOptions& o, const io::DatasetInfo& info) {
  const int64_t side = g.img_resolution();
  const double scaled = std::floor(o.scale.value_or(1) * static_cast<double>(side));
  const bool fits = info.resolution == side || static_cast<double>(info.resolution) == scaled;
  if (fits && info.channels == g.img_channels()) return;
  throw InputError(fmt::format(
      "--data={}: has images of {}x{} with {} channels, the network makes {}x{} with "
      "{}",
      info.path, info.resolution, info.resolution, info.channels, side, side, g.img_channels()));
}

/// The dataset for labels and real images; none when neither is needed.
std::optional<io::Dataset> data_for(const MetricsOptions& o, const MetricsInputs& in,
                                    const std::string& of_training) {
  const bool real = std::any_of(in.metrics.begin(), in.metrics.end(), needs_real_images);
  const Generator* g = in.generator.get();
  const int64_t labels = g == nullptr ? 0 : g->c_dim();
  if (labels == 0 && !real) return std::nullopt;
  const std::string path = o.data.empty() ? of_training : o.data;
  if (path.empty() && g == nullptr) {
    throw InputError("--images: give --data, the real images to compare with");
  }
  if (path.empty()) {
    throw InputError(fmt::format("{}: {}does not say what it was trained with: give --data",
                                 o.network, real ? "" : "is conditional, and "));
  }
  io::Dataset data = io::Dataset::open(path);
  if (labels > 0 && data.label_dim() != labels) {
    throw InputError(fmt::format("--data={}: its labels have {} numbers, the network takes {}",
                                 path, data.label_dim(), labels));
  }
  if (real && g != nullptr) check_images(*g, o, data.info());
  return data;
}

void load_network(const MetricsOptions& o, at::Device device, MetricsInputs& in) {
  const io::NetworkFile file = io::read_networks(o.network);
  in.generator = generator_from(o.network, file, "G_ema", device);
  const std::string family = io::generator_family(file.networks.at("G_ema"));
  require_computable(family, in);
  if (o.scale) set_scale(*o.scale, family, in);
  const nlohmann::json training =
      file.options.is_object() ? file.options : nlohmann::json::object();
  in.data = data_for(o, in, training.value("data", ""));
  in.mirror = training.value("mirror", false);
  in.origin = {fs::path(o.network).filename(), file.kimg, file.dataset_fingerprint, std::nullopt};
  in.seed = static_cast<uint64_t>(o.metric_seed.value_or(training.value("seed", int64_t{0})));
}

void open_images(const MetricsOptions& o, MetricsInputs& in) {
  require_computable("", in);
  in.data = data_for(o, in, "");
  in.images = open_image_set(o.images);
  for (const Metric& metric : in.metrics) {
    if (metric.samples > in.images->count()) {
      throw InputError(fmt::format("--images={}: has {} images, {} takes {}; name another number",
                                   o.images, in.images->count(), metric.name, metric.samples));
    }
  }
  const fs::path path = fs::path(o.images).lexically_normal();
  in.origin.images = (path.has_filename() ? path : path.parent_path()).filename();
  in.seed = static_cast<uint64_t>(o.metric_seed.value_or(0));
}

}  // namespace

MetricSetup MetricsInputs::setup(Communicator& comm, const std::string& cache) const {
  MetricSetup setup{generator ? GeneratorRef(*generator) : GeneratorRef(nullptr), comm, seed,
                    data ? &*data : nullptr};
  for (const auto& detector : detectors) setup.detectors.push_back(detector.get());
  setup.mirror = mirror;
  setup.lpips = lpips.get();
  setup.cache = cache;
  setup.images = images.get();
  setup.scale = scale;
  return setup;
}

MetricsInputs load_metrics_inputs(const MetricsOptions& o, at::Device device) {
  check_subject(o);
  MetricsInputs in;
  for (const std::string& name : o.metrics) in.metrics.push_back(parse_metric(name));
  load_detectors(o, device, in);
  if (o.images.empty()) {
    load_network(o, device, in);
  } else {
    open_images(o, in);
  }
  if (in.data) in.origin.dataset_fingerprint = in.data->info().fingerprint;
  return in;
}

}  // namespace galette
