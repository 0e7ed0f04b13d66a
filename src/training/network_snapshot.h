// SPDX-License-Identifier: Apache-2.0
// Networks in and out of files: the snapshots of a run, and transfer learning from one.
#pragma once

#include <string>

#include <mpi.h>

#include "io/dataset_file.h"
#include "training/train_options.h"
#include "training/train_state.h"

namespace galette {

/// Writes G, D and G_ema with all that rebuilds them. Collective; rank 0 writes, all fail together.
void write_network_snapshot(const std::string& path, const TrainState& state,
                            const TrainOptions& options, const io::DatasetInfo& data,
                            MPI_Comm comm);

/// Copies the tensors of a network snapshot or of safetensors (G.*, D.*, G_ema.*; told apart by
/// their content) into freshly made networks, by name. Coordinates are never
/// copied, so a network may start from one of another resolution. Logs every tensor that one side
/// lacks; throws InputError naming the first whose shape differs, or the file's configuration when
/// its generator is of another family. Collective.
void transfer_networks(const std::string& path, TrainState& state, MPI_Comm comm);

/// Logs how many parameters and buffers each module of a network has.
void log_network(const Network& network);

}  // namespace galette
