// SPDX-License-Identifier: Apache-2.0
// What the metrics of a run look through: detector networks (--detector), and the folder that keeps
// what they made of real images (--cache).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <mpi.h>

#include "models/detector.h"
#include "training/train_options.h"

namespace galette {

struct TrainDetectors {
  std::vector<std::unique_ptr<Detector>> networks;  ///< at most one of a kind
  std::unique_ptr<Lpips> lpips;                     ///< for path lengths
  std::string cache;                                ///< folder, or empty for none
  bool is_complete = true;                          ///< whether every file could be read

  /// As metric_obstacle() takes them.
  std::vector<std::string> kinds() const;
};

/// Reads the files on every rank and keeps the networks that a metric of --metrics needs. A file
/// that cannot be read, or a folder that cannot be made, throws InputError, the same on all ranks;
/// where a run `goes_on`, it costs a warning and the metrics that need it. Collective.
TrainDetectors load_train_detectors(const TrainOptions& options, bool goes_on, MPI_Comm comm);

}  // namespace galette
