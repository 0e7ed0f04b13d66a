// SPDX-License-Identifier: Apache-2.0
// The folder of a run: numbered below --outdir, or fixed by --run-dir so that a job that is started
// again finds its own run. It records the options, and refuses to be used with others.
#pragma once

#include <string>

#include <mpi.h>

#include "training/train_options.h"

namespace galette {

class RunDirectory {
 public:
  /// Finds or makes the folder and writes training_options.json. Rank 0 works, all ranks know.
  /// Throws InputError on all ranks when the folder cannot be written or holds a run made with
  /// other options. `options` are resolved and `table` is bound to them. Collective.
  static RunDirectory prepare(const TrainOptions& options, const OptionTable& table,
                              const DatasetFacts& data, MPI_Comm comm);

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  /// Whether a run was there before.
  bool holds_run() const { return holds_run_; }

 private:
  RunDirectory(std::string path, bool holds_run) : path_(std::move(path)), holds_run_(holds_run) {}
  std::string path_;
  bool holds_run_;
};

/// Whether a folder holds a run.
bool holds_run(const std::string& path);

/// What follows the number: `creps-<dataset>-gpus<R>-batch<B>-gamma<γ>[-<desc>]`.
std::string run_name(const TrainOptions& options, const DatasetFacts& data);

/// Makes `<outdir>/NNNNN-<name>`, NNNNN being one more than the largest number there, and returns
/// its path. Another job may take a number at the same time: then the next one is tried.
std::string make_numbered_directory(const std::string& outdir, const std::string& name);

}  // namespace galette
