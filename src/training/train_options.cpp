// SPDX-License-Identifier: Apache-2.0
#include "training/train_options.h"

#include <algorithm>
#include <bit>
#include <filesystem>

#include <fmt/format.h>

#include "base/time_text.h"
#include "io/check.h"
#include "metrics/detector_options.h"
#include "metrics/metric_name.h"
#include "parallel/device_choice.h"
#include "training/augment.h"

namespace galette {
namespace {

// R1's weight by resolution and batch, as StyleGAN2-ADA finds it (Karras et al. 2020b).
constexpr double kAutoGamma = 0.0002;

const std::vector<std::string> kConfigurations{"stylegan3-t", "stylegan3-r", "stylegan2", "creps"};
void add_model_options(OptionTable& table, TrainOptions& o) {
  const auto run = Defines::run;
  table.add("cfg", run, o.cfg, "configuration", kConfigurations).required();
  table.add("data", Defines::nothing, o.data, "dataset, made by `galette dataset`").required();
  table.add("cond", run, o.cond, "train with the labels of the dataset");
  table.add("mirror", run, o.mirror, "double the dataset by x-flips");
  table.add("resume", run, o.resume,
            "network snapshot or safetensors file to start from (transfer learning)");
  table.add("freezed", run, o.freezed, "first layers of the discriminator to keep frozen", {0});
  table.add("cbase", run, o.cbase,
            "channel base; the generators of creps and stylegan3-r use twice this", {1});
  table.add("cmax", run, o.cmax,
            "channel maximum; the generators of creps and stylegan3-r use twice this", {1});
  table.add("map-depth", run, o.map_depth, "layers of the mapping network", {1, 64})
      .default_text("8; stylegan3: 2");
  table.add("mbstd-group", run, o.mbstd_group, "samples of a minibatch-std group", {1});
}

void add_optimisation_options(OptionTable& table, TrainOptions& o) {
  const auto run = Defines::run;
  table.add("batch", run, o.batch, "total batch over all ranks", {1, 1 << 24}).required();
  table.add("batch-gpu", Defines::nothing, o.batch_gpu, "samples that a rank holds at a time", {1})
      .default_text("batch / ranks");
  table
      .add_or_auto("gamma", run, o.gamma,
                   "R1 weight; auto: 0.0002 times the squared resolution over the batch", {0})
      .required();
  table.add("glr", run, o.glr, "learning rate of the generator", {0})
      .default_text("0.002; stylegan3: 0.0025");
  table.add("dlr", run, o.dlr, "learning rate of the discriminator", {0});
  table.add("aug", run, o.aug, "augmentation of what the discriminator sees",
            {"noaug", "ada", "fixed"});
  table.add("augpipe", run, o.augpipe,
            "transforms: blit, geometry, colour, filter, noise, cutout, by their initials",
            AugmentConfig::names());
  table.add("p", run, o.p, "probability of each transform with --aug=fixed", {0, 1});
  table.add("target", run, o.target, "mean sign of D on real images that --aug=ada keeps", {0, 1});
  table.add("seed", run, o.seed, "seed of every random draw", {0});
  table.add(
      "precision", run, o.precision,
      "arithmetic of the large layers; auto: 16 bits on GPUs as published, fp32 on CPUs; fp32 "
      "and tf32 also clamp nothing; fp64 is for verification",
      {"auto", "fp32", "tf32", "fp16", "bf16", "fp64"});
  table.add("fp32", run, o.fp32, "the same as --precision=fp32");
  table.add("nhwc", run, o.nhwc, "channels-last tensors in the 16-bit layers (GPUs)");
  table.add("stop-on-nan", Defines::nothing, o.stop_on_nan,
            "iterations in a row with gradients that are not finite that end a run; 0: none", {0});
}

void add_output_options(OptionTable& table, TrainOptions& o) {
  const auto no = Defines::nothing;
  table.add("outdir", no, o.outdir, "folder in which a numbered run directory is made");
  table.add("run-dir", no, o.run_dir,
            "the run directory itself, instead; goes on with the run that it holds");
  table.add("desc", no, o.desc, "text at the end of a numbered run directory's name");
  table.add("kimg", no, o.kimg, "duration in thousands of real images", {1, 1'000'000'000});
  table.add("tick", no, o.tick, "thousands of images per status line", {1});
  table.add("snap", no, o.snap, "ticks per snapshot of images and networks", {1});
  table.add_checked_list("metrics", no, o.metrics,
                         "metrics of every network snapshot but the first",
                         [](const std::string& name) { parse_metric(name); });
  add_detector_options(table, o.detectors, o.detector_heads, o.cache);
  table.add("metrics-at-start", no, o.metrics_at_start,
            "compute the metrics of the first snapshot, too, after one iteration");
  table.add(
      "restart", no, o.restart,
      "auto: go on from the newest valid checkpoint of the run directory; anew: the same, but "
      "start over when all of them are damaged; never: refuse a directory that holds a run; "
      "FILE: go on from this checkpoint");
}

void add_safety_options(OptionTable& table, TrainOptions& o) {
  const auto no = Defines::nothing;
  table.add("checkpoint-every", no, o.checkpoint_every, "minutes between checkpoints", {0});
  table.add_flag("checkpoint-sync", o.checkpoint_sync,
                 "let training wait for checkpoints, which otherwise are copied and written in the "
                 "background");
  table.add("keep", no, o.keep, "checkpoints that are kept, beside the one gone on from", {1});
  table.add("keep-best", no, o.keep_best,
            "one of the --metrics: the checkpoint with its best value stays as best-METRIC.h5");
  table
      .add("time-limit", no, o.time_limit,
           "save and stop in time for this: minutes, HH:MM, HH:MM:SS, D-HH:MM or D-HH:MM:SS")
      .default_text("the end of the Slurm job, where SLURM_JOB_END_TIME tells it");
  table.add("io", no, o.io, "who writes checkpoints: all ranks together, or rank 0 alone",
            {"collective", "rank0"});
  table.add("io-deadline", no, o.io_deadline,
            "seconds after which a checkpoint that is not written ends the run with exit code 85; "
            "0: never",
            {0});
  table.add("watchdog", no, o.watchdog,
            "seconds after which a rank that is silent or does not get on ends the run; 0: never",
            {0});
}

void add_machine_options(OptionTable& table, TrainOptions& o) {
  const auto no = Defines::nothing;
  table.add("gpus", no, o.gpus, "number of ranks that the launcher must have started", {1})
      .default_text("as started");
  table.add_flag("shard-optimizer", o.shard_optimizer,
                 "share the optimisers' second moments and steps among the ranks: the same numbers "
                 "in less memory, for an exchange of parameters after each step");
  table.add("workers", no, o.workers, "threads of a rank that read ahead", {1, 64});
  table.add("cache-mem", no, o.cache_mem, "GiB of memory for images", {0});
  add_device_option(table, o.device);
  table.add("nobench", no, o.nobench, "do not try out convolution algorithms (GPUs)");
  add_graphs_option(table, o.graphs);
  table.add("config", no, o.config,
            "TOML file of options, for those that neither the command line nor the environment "
            "(GALETTE_BATCH_GPU for --batch-gpu) gives");
  table
      .add_flag("dry-run", o.dry_run,
                "print the resolved options, sizes and an estimate of memory, and stop")
      .alias("-n");
}

std::string ranks_text(int ranks) {
  return fmt::format("{} rank{}", ranks, ranks == 1 ? "" : "s");
}

void require_file(const char* option, const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) {
    throw InputError(fmt::format("--{}={}: no such file", option, path));
  }
}

int64_t smallest_resolution(const TrainOptions& o) {
  return o.cfg == "stylegan2" ? 4 : 8;
}

void check_dataset(const TrainOptions& o, const DatasetFacts& data) {
  if (data.num_images < 1) throw InputError(fmt::format("--data={}: has no images", o.data));
  const int64_t smallest = smallest_resolution(o);
  if (data.resolution < smallest || !std::has_single_bit(static_cast<uint64_t>(data.resolution))) {
    throw InputError(fmt::format(
        "--data={}: images of {}x{}, but --cfg={} needs a power of two of at least {}; pack them "
        "with `galette dataset --resolution`",
        o.data, data.resolution, data.resolution, o.cfg, smallest));
  }
  if (o.cond && data.label_dim < 1) {
    throw InputError(fmt::format(
        "--cond=true, but {} has no labels: give --cond=false or pack the images with a "
        "dataset.json",
        o.data));
  }
}

/// Batch, ranks, micro-batch and minibatch-std group must divide each other without remainder.
void check_batch(const TrainOptions& o, int ranks) {
  if (o.batch % ranks != 0) {
    throw InputError(fmt::format("--batch={} is not divisible by {}: give a multiple of {}",
                                 o.batch, ranks_text(ranks), ranks));
  }
  const int64_t micro = o.batch_gpu.value_or(o.batch / ranks);
  if (o.batch % (ranks * micro) != 0) {
    throw InputError(
        fmt::format("--batch={} is not divisible by {} times --batch-gpu={}: give a --batch-gpu "
                    "that divides {}",
                    o.batch, ranks_text(ranks), micro, o.batch / ranks));
  }
  const int64_t group = o.group_size();
  const std::string source = o.batch_gpu ? fmt::format("--batch-gpu={}", micro)
                                         : fmt::format("{} per rank (--batch={} on {})", micro,
                                                       o.batch, ranks_text(ranks));
  if (micro < group) {
    throw InputError(
        fmt::format("{} is smaller than the minibatch-std group of {}: give a larger "
                    "one, fewer ranks, or --mbstd-group={}",
                    source, group, micro));
  }
  if (micro % group != 0) {
    throw InputError(
        fmt::format("{} is not a multiple of the minibatch-std group of {}: change "
                    "--batch-gpu, --batch or --mbstd-group",
                    source, group));
  }
}

void check_nhwc(const TrainOptions& o) {
  if (!o.nhwc || o.has_16_bit_layers()) return;
  const bool on_cpu = o.gpu < 0;
  throw InputError(fmt::format(
      "--nhwc=true needs layers of 16 bits, and --precision={}{} has none: give --precision={}, or "
      "leave --nhwc out",
      o.fp32 ? "fp32" : o.precision, on_cpu ? " on CPUs" : "",
      on_cpu ? "bf16" : "auto, fp16 or bf16"));
}

}  // namespace

bool TrainOptions::has_16_bit_layers() const {
  const bool on_gpu = gpu >= 0 && (precision == "auto" || precision == "fp16");
  return !fp32 && (on_gpu || precision == "bf16");
}

void add_graphs_option(OptionTable& table, std::string& graphs) {
  table.add("graphs", Defines::nothing, graphs,
            "record the phases as CUDA graphs, which are checked against what they replace; auto: "
            "where one GPU works alone; with several, gradients then travel after the backward "
            "pass",
            {"auto", "on", "off"});
}

OptionTable train_option_table(TrainOptions& options) {
  OptionTable table;
  add_model_options(table, options);
  add_optimisation_options(table, options);
  add_output_options(table, options);
  add_safety_options(table, options);
  add_machine_options(table, options);
  return table;
}

void check_device(const TrainOptions& o) {
  if (o.fp32 && o.precision != "auto" && o.precision != "fp32") {
    throw InputError(
        fmt::format("--fp32=true contradicts --precision={}: give one of them", o.precision));
  }
  if (o.gpu < 0 && (o.precision == "fp16" || o.precision == "tf32")) {
    throw InputError(fmt::format(
        "--precision={} needs a GPU, and this run has none: give auto, fp32 or bf16", o.precision));
  }
  if (o.gpu < 0 && o.graphs == "on") {
    throw InputError("--graphs=on needs a GPU, and this run has none: give auto or off");
  }
  check_nhwc(o);
}

void check_options(const TrainOptions& o, int ranks) {
  if (o.gpus && *o.gpus != ranks) {
    throw InputError(
        fmt::format("--gpus={}, but the launcher started {}: start it with `mpirun -n "
                    "{}` or `srun -n {}`, or leave --gpus out",
                    *o.gpus, ranks_text(ranks), *o.gpus, *o.gpus));
  }
  check_device(o);
  if (o.outdir.empty() && o.run_dir.empty()) {
    throw InputError("neither --outdir nor --run-dir is given: say where the run is to be written");
  }
  if (o.desc.find('/') != std::string::npos) {
    throw InputError(fmt::format("--desc={}: a part of a folder's name cannot hold a /", o.desc));
  }
  if (o.resume != "none") require_file("resume", o.resume);
  if (o.restart != "auto" && o.restart != "anew" && o.restart != "never") {
    require_file("restart", o.restart);
  }
  if (o.time_limit != "none" && !parse_duration(o.time_limit)) {
    throw InputError(fmt::format(
        "--time-limit={}: give minutes, HH:MM, HH:MM:SS, D-HH:MM or D-HH:MM:SS, or none",
        o.time_limit));
  }
}

void check_keep_best(const TrainOptions& o, const std::vector<std::string>& detectors) {
  if (o.keep_best == "none") return;
  if (std::find(o.metrics.begin(), o.metrics.end(), o.keep_best) == o.metrics.end()) {
    throw InputError(
        fmt::format("--keep-best={}: is not among --metrics; add it there", o.keep_best));
  }
  const std::string obstacle = metric_obstacle(parse_metric(o.keep_best), o.family(), detectors);
  if (!obstacle.empty()) {
    throw InputError(
        fmt::format("--keep-best={}: cannot be computed: it {}", o.keep_best, obstacle));
  }
}

std::vector<std::string> unused_options(const TrainOptions& o, const OptionTable& table) {
  std::vector<std::string> texts;
  const auto unused = [&](const char* option, bool used, const char* user) {
    if (table.is_given(option) && !used) {
      texts.push_back(fmt::format("--{} has no effect without --aug={}", option, user));
    }
  };
  unused("p", o.aug == "fixed", "fixed");
  unused("target", o.aug == "ada", "ada");
  unused("augpipe", o.aug != "noaug", "ada or --aug=fixed");
  return texts;
}

void resolve_options(TrainOptions& o, int ranks, const DatasetFacts& data) {
  check_dataset(o, data);
  check_batch(o, ranks);
  o.gpus = ranks;
  o.batch_gpu = o.batch_gpu.value_or(o.batch / ranks);
  const auto resolution = static_cast<double>(data.resolution);
  o.gamma = o.gamma.value_or(kAutoGamma * resolution * resolution / static_cast<double>(o.batch));
  o.glr = o.glr.value_or(o.is_stylegan3() ? 0.0025 : 0.002);
  o.map_depth = o.map_depth.value_or(o.is_stylegan3() ? 2 : 8);
  if (o.fp32) o.precision = "fp32";
}

}  // namespace galette
