// SPDX-License-Identifier: Apache-2.0
// The options of a training run, their one table, and the rules that they must obey together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/option_table.h"

namespace galette {

struct TrainOptions {
  // What is trained.
  std::string cfg;
  std::string data;
  bool cond = false;
  bool mirror = false;
  std::string resume = "none";  ///< network file to start from (transfer learning), or none
  int64_t freezed = 0;
  int64_t cbase = 32768;
  int64_t cmax = 512;
  std::optional<int64_t> map_depth;
  int64_t mbstd_group = 4;

  // How.
  int64_t batch = 0;
  std::optional<int64_t> batch_gpu;
  std::optional<double> gamma;  ///< without a value: found from resolution and batch
  std::optional<double> glr;
  double dlr = 0.002;
  std::string aug = "ada";  ///< noaug, ada, fixed
  std::string augpipe = "bgc";
  double p = 0.2;       ///< strength of --aug=fixed
  double target = 0.6;  ///< of --aug=ada: the mean sign of D on real images
  int64_t seed = 0;
  std::string precision = "auto";
  bool fp32 = false;
  bool nhwc = false;          ///< channels last in the layers of 16 bits
  int64_t stop_on_nan = 100;  ///< iterations in a row with non-finite gradients; 0: never

  // How long, and what is left behind.
  int64_t kimg = 25000;
  int64_t tick = 4;
  int64_t snap = 50;
  std::vector<std::string> metrics{"fid50k_full"};
  std::vector<std::string> detectors;  ///< weight files of the networks that metrics look through
  std::string detector_heads;          ///< file of LPIPS's heads, or empty: with VGG16
  std::string cache;                   ///< as feature_cache_folder() takes it
  bool metrics_at_start = false;       ///< whether the first snapshot has metrics, too
  std::string keep_best = "none";      ///< one of the metrics: its best checkpoint is kept
  std::string outdir;
  std::string run_dir;
  std::string desc;
  std::string restart = "auto";  ///< auto, anew, never, or a checkpoint file
  double checkpoint_every = 20;  ///< minutes
  bool checkpoint_sync = false;
  int64_t keep = 2;
  std::string time_limit = "none";  ///< see parse_duration()
  std::string io = "collective";    ///< collective or rank0
  double io_deadline = 600;         ///< seconds
  double watchdog = 300;            ///< seconds; 0: off

  // The machine.
  std::optional<int64_t> gpus;
  int64_t workers = 3;
  double cache_mem = 4;         ///< GiB of host memory
  std::string device = "auto";  ///< auto, cpu or cuda
  bool nobench = false;
  std::string graphs = "auto";  ///< auto, on or off
  bool shard_optimizer = false;
  std::string config;  ///< TOML file of options, or empty
  bool dry_run = false;

  int gpu = -1;  ///< of this rank, as choose_device() found; -1: the CPU

  // Derived, once resolve_options() has filled in the defaults.
  bool is_stylegan3() const { return cfg == "stylegan3-t" || cfg == "stylegan3-r"; }
  /// As metric_obstacle() takes it.
  std::string family() const { return is_stylegan3() ? "stylegan3" : cfg; }
  /// Channel base and maximum of the generator; the discriminator takes cbase and cmax as they are.
  int64_t generator_cbase() const { return wide_generator() ? 2 * cbase : cbase; }
  int64_t generator_cmax() const { return wide_generator() ? 2 * cmax : cmax; }
  /// Whether no layer computes in 16 bits and nothing is clamped.
  bool full_precision() const { return precision == "fp32" || precision == "tf32"; }
  /// Whether any layer computes in 16 bits on this rank's device.
  bool has_16_bit_layers() const;
  /// Micro-batches that a rank accumulates in one phase.
  int64_t accumulation_steps() const { return batch / (*gpus * *batch_gpu); }
  /// Samples that share one minibatch-std group.
  int64_t group_size() const { return mbstd_group < batch ? mbstd_group : batch; }

 private:
  bool wide_generator() const { return cfg == "creps" || cfg == "stylegan3-r"; }
};

/// What the rules need to know about a dataset.
struct DatasetFacts {
  std::string name;
  int64_t num_images = 0;  ///< before mirroring
  int64_t resolution = 0;
  int64_t channels = 0;
  int64_t label_dim = 0;  ///< 0 without labels
  std::string fingerprint;
};

/// Adds --graphs, which takes auto, on or off.
void add_graphs_option(OptionTable& table, std::string& graphs);

/// The table of all options, bound to `options`, which must outlive it.
OptionTable train_option_table(TrainOptions& options);

/// The rules that need no dataset: ranks, folders, files, precision. Throws InputError.
void check_options(const TrainOptions& options, int ranks);

/// That --precision, --fp32 and --nhwc agree, and that this rank's device can do that and --graphs.
/// Throws InputError.
void check_device(const TrainOptions& options);

/// That --keep-best is one of --metrics and can be computed with detector networks of some kinds.
/// Throws InputError.
void check_keep_best(const TrainOptions& options, const std::vector<std::string>& detectors);

/// Options that were given and have no effect beside the others, one text each.
std::vector<std::string> unused_options(const TrainOptions& options, const OptionTable& table);

/// The rules that do, in the order of their list; then fills in the defaults that depend on other
/// options (gpus, batch_gpu, gamma, glr, map_depth, precision). Throws InputError.
void resolve_options(TrainOptions& options, int ranks, const DatasetFacts& data);

}  // namespace galette
