// SPDX-License-Identifier: Apache-2.0
// Checkpoints: flat arrays and a JSON state in one HDF5 file, written by all ranks together, whole
// or not at all. A file does not depend on the number of ranks that wrote it.
//
// Layout: /arrays/<name>   one-dimensional, contiguous: the data of a flat array
//         /hashes/<name>   uint32: CRC-32C of each MiB of it, taken from memory before writing
//         /state           JSON text;   /format   "galette-checkpoint";   root attribute
//         format_version
//         /<slice name>    virtual datasets that show the named slices of the arrays (h5py, h5dump)
//         /commit          SHA-256 over state, sizes and hashes; written last
// Data are hashed and written by the mebibyte, and the storage gets to work at once; names are
// written by the form of the file, see checkpoint_form.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <mpi.h>
#include <nlohmann/json.hpp>

#include "io/hdf5.h"

namespace galette::io {

/// `values`: one-dimensional, contiguous, on the CPU, and equal on all ranks. The name has no
/// slash; those of slices must not begin with one of the names above.
struct FlatArray {
  std::string name;
  at::Tensor values;
  std::vector<NamedSlice> slices;
};

/// JSON keeps whole numbers and finite doubles exactly; infinities and NaN become null.
struct CheckpointContent {
  std::vector<FlatArray> arrays;
  nlohmann::json state;
};

/// Who writes the arrays: every rank its share, through MPI-IO; or rank 0 all of them, for a file
/// system on which several writers of one file are slow or not safe.
enum class CheckpointWriter { collective, rank0 };

class CheckpointForm;  // io/checkpoint_form.h

/// The elements of an array that this rank hashes and writes, possibly none: write_checkpoint()
/// reads no others of `values`, so a copy needs only these.
at::Tensor written_share(const at::Tensor& values, CheckpointWriter writer, MPI_Comm comm);

/// Writes all content to `path`, by way of `path`.tmp and an atomic rename, and synced to the
/// storage; then names the file in `latest` beside it, a hint for people. On failure on any rank
/// the temporary is removed, an older file of that name is untouched, and all ranks throw the same
/// message: not enough space, or what could not be written. A `form` that is kept from one save to
/// the next makes all but the first faster. Collective.
///
/// For tests of the protocol, GALETTE_FAULT=checkpoint:POINT[:RANK[:VISIT]] kills rank RANK (0)
/// when it comes to POINT for the VISITth time (1): create, write, flush, close, fsync, rename or
/// pointer. Rank 0 alone passes create, fsync, rename and pointer. With hang: in place of
/// checkpoint: the rank waits there for ever.
void write_checkpoint(const std::string& path, const CheckpointContent& content, MPI_Comm comm,
                      CheckpointWriter writer = CheckpointWriter::collective,
                      CheckpointForm* form = nullptr);

/// Fills the arrays of `into`, which must be those of the file in name, type and size, and the
/// state. Every byte is verified, by all ranks together. Throws, on all ranks, DamagedFile when the
/// file is not complete and unchanged, InputError when it is of another format or made with other
/// options; the arrays are then undefined. Collective.
void read_checkpoint(const std::string& path, CheckpointContent& into, MPI_Comm comm);

/// checkpoint-%09d.h5.
std::string checkpoint_name(int64_t iteration);

/// Paths of the checkpoints of a folder, newest first by the number in the name.
std::vector<std::string> list_checkpoints(const std::string& folder);

/// What to do when all checkpoints of a folder are damaged.
enum class NoneValid { refuse, start_anew };

struct LoadedCheckpoint {
  std::string path;                   ///< empty when there is nothing to go on from
  std::vector<std::string> rejected;  ///< why newer files were passed over; they are now *.bad
};

/// Reads the newest valid checkpoint of a folder; damaged ones on the way are renamed to *.bad.
/// Throws InputError when there are checkpoints or *.bad files but no valid one, rather than let a
/// run start from nothing, unless told to. Collective.
LoadedCheckpoint load_newest_checkpoint(const std::string& folder, CheckpointContent& into,
                                        MPI_Comm comm, NoneValid none_valid = NoneValid::refuse);

/// Removes temporaries that an interrupted write left. For the start of a run: nothing may be being
/// written. On one rank.
void sweep_checkpoint_temporaries(const std::string& folder);

/// Removes all checkpoints of a folder but the `keep` newest and the one whose path is `spared`. On
/// one rank.
void prune_checkpoints(const std::string& folder, size_t keep, const std::string& spared = "");

}  // namespace galette::io
