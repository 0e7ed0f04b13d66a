// SPDX-License-Identifier: Apache-2.0
#include "cli/metrics_command.h"

#include <filesystem>
#include <memory>
#include <optional>

#include "base/exit_code.h"
#include "base/log.h"
#include "base/option_table.h"
#include "cli/device_option.h"
#include "cli/metrics_inputs.h"
#include "io/json_lines.h"
#include "io/together.h"
#include "metrics/detector_options.h"
#include "metrics/feature_cache.h"
#include "parallel/device_choice.h"
#include "parallel/mpi_communicator.h"
#include "parallel/mpi_session.h"
#include "parallel/threads.h"

namespace galette {
namespace {

namespace fs = std::filesystem;

void add_subject_options(OptionTable& table, MetricsOptions& o) {
  const Defines nothing = Defines::nothing;
  table.add("network", nothing, o.network, "network snapshot, or safetensors made from one")
      .default_text("none: --images");
  table
      .add("images", nothing, o.images,
           "images to judge in place of a network's: a folder, ZIP archive or dataset")
      .default_text("none: --network");
  table
      .add("data", nothing, o.data,
           "dataset of real images, whose labels a conditional network is given")
      .default_text("that of its training");
  table
      .add("scale", nothing, o.scale,
           "CREPS: pixels per pixel of the training images, for metrics with --detector")
      .default_text("1");
  table
      .add("metric-seed", nothing, o.metric_seed, "seed of latents, labels, noise and motions",
           {.min = 0})
      .default_text("that of its training");
}

OptionTable metrics_option_table(MetricsOptions& o) {
  const Defines nothing = Defines::nothing;
  OptionTable table;
  add_subject_options(table, o);
  table
      .add_checked_list("metrics", nothing, o.metrics,
                        "eqt50k_int, eqt50k_frac, eqr50k (StyleGAN3), scale_consistency50k "
                        "(CREPS); fid50k_full, kid50k_full, pr50k3_full, is50k, ppl2_wend and "
                        "fd_efficientnet50k_full with --detector; any number of images in place of "
                        "50k",
                        [](const std::string& name) { parse_metric(name); })
      .required();
  add_detector_options(table, o.detectors, o.heads, o.cache);
  add_device_option(table, o.device);
  table.add_flag("json", o.json, "print JSON lines");
  return table;
}

struct MetricsCommand {
  MetricsOptions options;
  OptionTable table = metrics_option_table(options);
};

/// The folder of the network when it is that of a run.
std::optional<fs::path> run_directory(const std::string& network) {
  if (network.empty()) return std::nullopt;
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
  const at::Device device = use_device(o.device, comm);
  MetricsInputs inputs;
  std::string cache;
  io::together(comm.handle(), [&] { inputs = load_metrics_inputs(o, device); });
  io::on_root(comm.handle(), [&] { cache = feature_cache_folder(o.cache); });
  const MetricSetup setup = inputs.setup(comm, comm.broadcast(cache, 0));
  for (const Metric& metric : inputs.metrics) {
    const MetricResult result = compute_metric(metric, setup);
    io::on_root(comm.handle(),
                [&] { tell(o, metric, result, metric_row(metric, result, inputs.origin, setup)); });
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
