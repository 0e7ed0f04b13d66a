// SPDX-License-Identifier: Apache-2.0
#include "cli/metrics_command.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "base/option_table.h"
#include "cli/generator_file.h"
#include "io/check.h"
#include "io/json_lines.h"
#include "io/network_exchange.h"
#include "io/together.h"
#include "metrics/detector_file.h"
#include "metrics/feature_metrics.h"
#include "metrics/metric_result.h"
#include "parallel/mpi_communicator.h"
#include "parallel/mpi_session.h"
#include "parallel/threads.h"

namespace galette {
namespace {

namespace fs = std::filesystem;

struct MetricsOptions {
  std::string network;
  std::vector<std::string> metrics;
  std::string data;
  std::vector<std::string> detectors;
  std::optional<int64_t> metric_seed;
  bool json = false;
};

OptionTable metrics_option_table(MetricsOptions& o) {
  const Defines nothing = Defines::nothing;
  OptionTable table;
  table.add("network", nothing, o.network, "network snapshot, or safetensors made from one")
      .required();
  table
      .add_checked_list("metrics", nothing, o.metrics,
                        "eqt50k_int, eqt50k_frac, eqr50k (StyleGAN3), scale_consistency50k "
                        "(CREPS); fid50k_full, kid50k_full, pr50k3_full, is50k and "
                        "fd_efficientnet50k_full with --detector; any number of images in place of "
                        "50k",
                        [](const std::string& name) { parse_metric(name); })
      .required();
  table
      .add("data", nothing, o.data,
           "dataset of real images, whose labels a conditional network is given")
      .default_text("that of its training");
  table
      .add("metric-seed", nothing, o.metric_seed, "seed of latents, labels and motions", {.min = 0})
      .default_text("that of its training");
  table
      .add_list("detector", nothing, o.detectors,
                "weights of Inception-v3, VGG16 or EfficientNet-Lite0: *.pth or *.safetensors")
      .default_text("none");
  table.add_flag("json", o.json, "print JSON lines");
  return table;
}

struct MetricsCommand {
  MetricsOptions options;
  OptionTable table = metrics_option_table(options);
};

/// A network and what its file says of its training.
struct Evaluated {
  std::unique_ptr<Generator> generator;
  std::optional<io::Dataset> data;  ///< where labels or real images are needed
  std::vector<std::unique_ptr<Detector>> detectors;
  bool mirror = false;
  MetricOrigin origin;
  uint64_t seed = 0;
};

std::vector<std::unique_ptr<Detector>> load_detectors(const MetricsOptions& o) {
  std::vector<std::unique_ptr<Detector>> detectors;
  for (const std::string& path : o.detectors) {
    detectors.push_back(load_detector(path));
    for (const auto& other : detectors) {
      if (other != detectors.back() && other->kind() == detectors.back()->kind())
        throw InputError(
            fmt::format("--detector={}: a second one of kind {}", path, other->kind()));
    }
  }
  return detectors;
}

/// All of them, or InputError before anything is computed. The file holds a generator.
std::vector<Metric> computable(const MetricsOptions& o, const io::NetworkFile& file,
                               const std::vector<std::unique_ptr<Detector>>& detectors) {
  const std::string family = io::generator_family(file.networks.at("G_ema"));
  std::vector<std::string> kinds;
  for (const auto& detector : detectors) kinds.push_back(detector->kind());
  std::vector<Metric> metrics;
  if (o.metrics.empty()) throw InputError("--metrics=none: name at least one");
  for (const std::string& name : o.metrics) {
    metrics.push_back(parse_metric(name));
    const std::string obstacle = metric_obstacle(metrics.back(), family, kinds);
    if (!obstacle.empty()) throw InputError(fmt::format("--metrics={}: {}", name, obstacle));
  }
  return metrics;
}

/// The dataset for labels and real images; none when neither is needed.
std::optional<io::Dataset> data_for(const Generator& g, const MetricsOptions& o,
                                    const std::vector<Metric>& metrics,
                                    const nlohmann::json& training) {
  const bool real = std::any_of(metrics.begin(), metrics.end(), needs_real_images);
  if (g.c_dim() == 0 && !real) return std::nullopt;
  const std::string path = o.data.empty() ? training.value("data", "") : o.data;
  if (path.empty()) {
    throw InputError(fmt::format("{}: {}does not say what it was trained with: give --data",
                                 o.network, real ? "" : "is conditional, and "));
  }
  io::Dataset data = io::Dataset::open(path);
  if (g.c_dim() > 0 && data.label_dim() != g.c_dim()) {
    throw InputError(fmt::format("--data={}: its labels have {} numbers, the network takes {}",
                                 path, data.label_dim(), g.c_dim()));
  }
  const io::DatasetInfo& info = data.info();
  if (real && (info.resolution != g.img_resolution() || info.channels != g.img_channels())) {
    throw InputError(fmt::format(
        "--data={}: has images of {}x{} with {} channels, the network makes {}x{} with {}", path,
        info.resolution, info.resolution, info.channels, g.img_resolution(), g.img_resolution(),
        g.img_channels()));
  }
  return data;
}

Evaluated load(const MetricsOptions& o, const io::NetworkFile& file,
               const std::vector<Metric>& metrics) {
  Evaluated e;
  e.generator = generator_from(o.network, file);
  const nlohmann::json training =
      file.options.is_object() ? file.options : nlohmann::json::object();
  e.data = data_for(*e.generator, o, metrics, training);
  e.mirror = training.value("mirror", false);
  e.origin = {fs::path(o.network).filename(), file.kimg, file.dataset_fingerprint, std::nullopt};
  e.seed = static_cast<uint64_t>(o.metric_seed.value_or(training.value("seed", int64_t{0})));
  return e;
}

/// The folder of the network when it is that of a run.
std::optional<fs::path> run_directory(const std::string& network) {
  fs::path folder = fs::absolute(network).parent_path();
  if (!fs::exists(folder / "training_options.json")) return std::nullopt;
  return folder;
}

void tell(const MetricsOptions& o, const Metric& metric, const MetricResult& result,
          const nlohmann::ordered_json& row) {
  log::info("{}", o.json ? row.dump() : metric_text(metric, result));
  if (const auto folder = run_directory(o.network)) {
    io::JsonLines((*folder / metric_file_name(metric)).string()).append(row);
  }
}

int compute(const MetricsCommand& command) {
  const MetricsOptions& o = command.options;
  MpiCommunicator comm(MPI_COMM_WORLD);
  require_complete_world(comm.size());
  divide_threads(comm.handle());
  std::vector<Metric> metrics;
  Evaluated e;
  io::together(comm.handle(), [&] {
    const io::NetworkFile file = io::read_networks(o.network);
    auto detectors = load_detectors(o);
    metrics = computable(o, file, detectors);
    e = load(o, file, metrics);
    e.detectors = std::move(detectors);
  });
  MetricSetup setup{*e.generator, comm, e.seed, e.data ? &*e.data : nullptr};
  for (const auto& detector : e.detectors) setup.detectors.push_back(detector.get());
  setup.mirror = e.mirror;
  for (const Metric& metric : metrics) {
    const MetricResult result = compute_metric(metric, setup);
    io::on_root(comm.handle(),
                [&] { tell(o, metric, result, metric_row(metric, result, e.origin, setup)); });
  }
  return kExitDone;
}

}  // namespace

void add_metrics_command(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("metrics", "Tells how good a trained network is");
  auto command = std::make_shared<MetricsCommand>();
  command->table.add_to(*sub);
  sub->callback([command, &action] { action = [command] { return compute(*command); }; });
}

}  // namespace galette
