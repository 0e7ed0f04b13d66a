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
  double gamma = 0;
  std::optional<double> glr;
  double dlr = 0.002;
  std::string aug = "noaug";
  int64_t seed = 0;
  std::string precision = "fp32";

  // How long, and what is left behind.
  int64_t kimg = 25000;
  int64_t tick = 4;
  int64_t snap = 50;
  std::vector<std::string> metrics;
  std::string outdir;
  std::string run_dir;
  std::string desc;
  std::string restart = "auto";  ///< auto, never, or a checkpoint file
  double checkpoint_every = 20;  ///< minutes
  int64_t keep = 2;

  // The machine.
  std::optional<int64_t> gpus;
  int64_t workers = 3;
  double cache_mem = 4;  ///< GiB of host memory
  bool dry_run = false;

  // Derived, once resolve_options() has filled in the defaults.
  /// Channel base and maximum of the generator; the discriminator takes cbase and cmax as they are.
  int64_t generator_cbase() const { return 2 * cbase; }
  int64_t generator_cmax() const { return 2 * cmax; }
  /// Micro-batches that a rank accumulates in one phase.
  int64_t accumulation_steps() const { return batch / (*gpus * *batch_gpu); }
  /// Samples that share one minibatch-std group.
  int64_t group_size() const { return mbstd_group < batch ? mbstd_group : batch; }
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

/// The table of all options, bound to `options`, which must outlive it.
OptionTable train_option_table(TrainOptions& options);

/// The rules that need no dataset: ranks, folders, and what this version can train. Throws
/// InputError.
void check_options(const TrainOptions& options, int ranks);

/// The rules that do, in the order of their list; then fills in the defaults that depend on other
/// options (gpus, batch_gpu, glr, map_depth). Throws InputError.
void resolve_options(TrainOptions& options, int ranks, const DatasetFacts& data);

}  // namespace galette
