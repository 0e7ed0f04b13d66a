// SPDX-License-Identifier: Apache-2.0
#include "training/train_options.h"

#include <algorithm>
#include <bit>
#include <filesystem>

#include <fmt/format.h>

#include "io/check.h"

namespace galette {
namespace {

constexpr double kDefaultLearningRate = 0.002;
constexpr int64_t kDefaultMapDepth = 8;

const std::vector<std::string> kConfigurations{"stylegan3-t", "stylegan3-r", "stylegan2", "creps"};
const std::vector<std::string> kMetrics{"fid50k_full", "kid50k_full", "pr50k3_full", "ppl2_wend",
                                        "eqt50k_int",  "eqt50k_frac", "eqr50k",      "fid50k",
                                        "kid50k",      "pr50k3",      "is50k"};

void add_model_options(OptionTable& table, TrainOptions& o) {
  const auto run = Defines::run;
  table.add("cfg", run, o.cfg, "configuration; this version trains creps", kConfigurations)
      .required();
  table.add("data", Defines::nothing, o.data, "dataset, made by `galette dataset`").required();
  table.add("cond", run, o.cond, "train with the labels of the dataset");
  table.add("mirror", run, o.mirror, "double the dataset by x-flips");
  table.add("resume", run, o.resume, "network file to start from (transfer learning)");
  table.add("freezed", run, o.freezed, "first layers of the discriminator to keep frozen", {0});
  table.add("cbase", run, o.cbase, "channel base; the creps generator uses twice this", {1});
  table.add("cmax", run, o.cmax, "channel maximum; the creps generator uses twice this", {1});
  table.add("map-depth", run, o.map_depth, "layers of the mapping network", {1, 64})
      .default_text(std::to_string(kDefaultMapDepth));
  table.add("mbstd-group", run, o.mbstd_group, "samples of a minibatch-std group", {1});
}

void add_optimisation_options(OptionTable& table, TrainOptions& o) {
  const auto run = Defines::run;
  table.add("batch", run, o.batch, "total batch over all ranks", {1, 1 << 24}).required();
  table.add("batch-gpu", Defines::nothing, o.batch_gpu, "samples that a rank holds at a time", {1})
      .default_text("batch / ranks");
  table.add("gamma", run, o.gamma, "R1 weight", {0}).required();
  table.add("glr", run, o.glr, "learning rate of the generator", {0})
      .default_text(fmt::format("{:g}", kDefaultLearningRate));
  table.add("dlr", run, o.dlr, "learning rate of the discriminator", {0});
  table.add("aug", run, o.aug, "augmentation; this version trains with noaug",
            {"noaug", "ada", "fixed"});
  table.add("seed", run, o.seed, "seed of every random draw", {0});
  table.add("precision", run, o.precision, "arithmetic; fp64 is for verification on CPUs",
            {"fp32", "fp64"});
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
  table.add_list("metrics", no, o.metrics,
                 "metrics of every network snapshot; this version has none yet", kMetrics);
  table.add("restart", no, o.restart,
            "auto: go on from the newest valid checkpoint of the run directory; never: refuse a "
            "directory that holds a run; FILE: go on from this checkpoint");
  table.add("checkpoint-every", no, o.checkpoint_every, "minutes between checkpoints", {0});
  table.add("keep", no, o.keep, "checkpoints that are kept", {1});
}

void add_machine_options(OptionTable& table, TrainOptions& o) {
  const auto no = Defines::nothing;
  table.add("gpus", no, o.gpus, "number of ranks that the launcher must have started", {1})
      .default_text("as started");
  table.add("workers", no, o.workers, "threads of a rank that read ahead", {1, 64});
  table.add("cache-mem", no, o.cache_mem, "GiB of memory for images", {0});
  table.add_flag("dry-run", o.dry_run, "print the resolved options and stop").alias("-n");
}

std::string ranks_text(int ranks) {
  return fmt::format("{} rank{}", ranks, ranks == 1 ? "" : "s");
}

void require_file(const char* option, const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) {
    throw InputError(fmt::format("--{}={}: no such file", option, path));
  }
}

void check_dataset(const TrainOptions& o, const DatasetFacts& data) {
  if (data.num_images < 1) throw InputError(fmt::format("--data={}: has no images", o.data));
  if (data.resolution < 8 || !std::has_single_bit(static_cast<uint64_t>(data.resolution))) {
    throw InputError(fmt::format(
        "--data={}: images of {}x{}, but --cfg=creps needs a power of two of at least 8; pack them "
        "with `galette dataset --resolution`",
        o.data, data.resolution, data.resolution));
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

}  // namespace

OptionTable train_option_table(TrainOptions& options) {
  OptionTable table;
  add_model_options(table, options);
  add_optimisation_options(table, options);
  add_output_options(table, options);
  add_machine_options(table, options);
  return table;
}

void check_options(const TrainOptions& o, int ranks) {
  if (o.gpus && *o.gpus != ranks) {
    throw InputError(
        fmt::format("--gpus={}, but the launcher started {}: start it with `mpirun -n "
                    "{}` or `srun -n {}`, or leave --gpus out",
                    *o.gpus, ranks_text(ranks), *o.gpus, *o.gpus));
  }
  if (o.cfg != "creps") {
    throw InputError(
        fmt::format("--cfg={} is not available in this version: give --cfg=creps", o.cfg));
  }
  if (o.aug != "noaug") {
    throw InputError(
        fmt::format("--aug={} is not available in this version: give --aug=noaug", o.aug));
  }
  if (!o.metrics.empty()) {
    throw InputError(fmt::format(
        "--metrics={} is not available in this version: give --metrics=none", o.metrics.front()));
  }
  if (o.outdir.empty() && o.run_dir.empty()) {
    throw InputError("neither --outdir nor --run-dir is given: say where the run is to be written");
  }
  if (o.desc.find('/') != std::string::npos) {
    throw InputError(fmt::format("--desc={}: a part of a folder's name cannot hold a /", o.desc));
  }
  if (o.resume != "none") require_file("resume", o.resume);
  if (o.restart != "auto" && o.restart != "never") require_file("restart", o.restart);
}

void resolve_options(TrainOptions& o, int ranks, const DatasetFacts& data) {
  check_dataset(o, data);
  check_batch(o, ranks);
  o.gpus = ranks;
  o.batch_gpu = o.batch_gpu.value_or(o.batch / ranks);
  o.glr = o.glr.value_or(kDefaultLearningRate);
  o.map_depth = o.map_depth.value_or(kDefaultMapDepth);
}

}  // namespace galette
