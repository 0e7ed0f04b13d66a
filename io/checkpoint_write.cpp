// SPDX-License-Identifier: Apache-2.0
// Writing a checkpoint. HDF5 reports a full disk from H5Dwrite but not from flush or close, and not
// on every rank: each step's outcome is agreed on before the next, so that nothing unsound is
// renamed and no rank waits for one that failed.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <unistd.h>

#include "io/check.h"
#include "io/checkpoint.h"
#include "io/checkpoint_form.h"
#include "io/checkpoint_manifest.h"
#include "io/durable.h"
#include "io/file_util.h"
#include "io/hdf5.h"
#include "io/positional_file.h"
#include "io/together.h"

namespace galette::io {
namespace {

/// Dies or hangs here when GALETTE_FAULT asks for it.
void fault_point(std::string_view point, MPI_Comm comm) {
  const char* wanted = std::getenv("GALETTE_FAULT");
  if (wanted == nullptr) return;
  char action[16] = "", name[16] = "";
  int rank = 0, visit = 1;
  static int visits = 0;  // of the one point that is asked for
  if (std::sscanf(wanted, "%15[a-z]:%15[a-z]:%d:%d", action, name, &rank, &visit) < 2) return;
  if (point != name || comm_rank(comm) != rank || ++visits != visit) return;
  if (action == std::string_view("checkpoint")) std::raise(SIGKILL);
  while (action == std::string_view("hang")) ::pause();
}

void check_arrays(const CheckpointContent& content) {
  for (const auto& array : content.arrays)
    TORCH_CHECK(
        array.values.dim() == 1 && array.values.device().is_cpu() && array.values.is_contiguous(),
        "checkpoint array ", array.name, " must be flat, contiguous and on the CPU");
}

/// A write that cannot fit is better refused than interrupted.
void require_space(const std::string& path, uint64_t needed) {
  const uint64_t free = free_bytes(parent_folder(path));
  if (free < needed)
    throw std::runtime_error(
        fmt::format("{}: not enough space: {} MiB needed, {} MiB free; make room in the folder",
                    path, needed >> 20, free >> 20));
}

BlockRange written_blocks(const at::Tensor& values, CheckpointWriter writer, MPI_Comm comm) {
  const int64_t blocks = block_count(values);
  if (writer == CheckpointWriter::collective)
    return share_of(blocks, comm_rank(comm), comm_size(comm));
  return comm_rank(comm) == 0 ? BlockRange{0, blocks} : BlockRange{blocks, blocks};
}

/// All but the hashes.
Manifest describe(const CheckpointContent& content) {
  Manifest manifest{kCheckpointFormat, content.state.dump(), {}};
  for (const auto& array : content.arrays) {
    ArrayRecord record{array.values.scalar_type(), array.values.numel(), {}};
    record.hashes.assign(static_cast<size_t>(block_count(array.values)), 0);
    manifest.arrays.emplace(array.name, std::move(record));
  }
  return manifest;
}

/// Puts the shares of all ranks' hashes together.
void gather_hashes(Manifest& manifest, MPI_Comm comm) {
  for (auto& [name, array] : manifest.arrays)
    MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, array.hashes.data(),
                            static_cast<int>(array.hashes.size()), MPI_UINT32_T, MPI_SUM, comm));
}

std::vector<H5Rows> open_arrays(H5File& file, const CheckpointContent& content) {
  std::vector<H5Rows> arrays;
  for (const auto& array : content.arrays) arrays.push_back(file.rows("arrays/" + array.name));
  return arrays;
}

/// Hashes and writes the blocks of an array that are this rank's. What is written goes on to the
/// storage while the next piece is hashed; all ranks wait for it in the end.
void write_blocks(H5Rows& rows, PositionalFile& storage, const at::Tensor& values, BlockRange mine,
                  std::vector<uint32_t>& hashes) {
  constexpr int64_t kPiece = 4;  // blocks; they stay in the processor's cache
  for (int64_t begin = mine.begin; begin < mine.end; begin += kPiece) {
    const BlockRange piece{begin, std::min(begin + kPiece, mine.end)};
    for (int64_t block = piece.begin; block < piece.end; ++block)
      hashes[static_cast<size_t>(block)] = hash_block(values, block);
    const at::Tensor elements = elements_of(values, piece);
    rows.write(elements_of(values, {0, begin}).numel(), elements);
    storage.start_syncing(rows.raw_offset() + begin * kBlockBytes,
                          static_cast<int64_t>(elements.nbytes()));
  }
}

void write_shares(std::vector<H5Rows>& arrays, PositionalFile& storage,
                  const CheckpointContent& content, CheckpointWriter writer, MPI_Comm comm,
                  Manifest& manifest) {
  for (size_t i = 0; i < arrays.size(); ++i) {
    const auto& [name, values, slices] = content.arrays[i];
    write_blocks(arrays[i], storage, values, written_blocks(values, writer, comm),
                 manifest.arrays.at(name).hashes);
  }
}

/// By all ranks, through MPI-IO. Fills in this rank's hashes.
void write_arrays(const std::string& path, const CheckpointContent& content, MPI_Comm comm,
                  Manifest& manifest) {
  std::optional<PositionalFile> storage;
  std::optional<H5File> file;
  std::vector<H5Rows> arrays;
  together(comm, [&] { storage.emplace(path, PositionalFile::Access::write); });
  together(comm, [&] { file = H5File::open_parallel(path, comm); });
  together(comm, [&] { arrays = open_arrays(*file, content); });
  together(comm, [&] {
    write_shares(arrays, *storage, content, CheckpointWriter::collective, comm, manifest);
  });
  fault_point("write", comm);
  together(comm, [&] {
    for (auto& array : arrays) array.close();
  });
  fault_point("flush", comm);
  together(comm, [&] { file->close(); });
  fault_point("close", comm);
}

/// The same by rank 0 alone.
void write_arrays_on_root(const std::string& path, const CheckpointContent& content, MPI_Comm comm,
                          Manifest& manifest) {
  on_root(comm, [&] {
    PositionalFile storage(path, PositionalFile::Access::write);
    auto file = H5File::open_for_writing(path);
    auto arrays = open_arrays(file, content);
    write_shares(arrays, storage, content, CheckpointWriter::rank0, comm, manifest);
    fault_point("write", comm);
    for (auto& array : arrays) array.close();
    fault_point("flush", comm);
    file.close();
    fault_point("close", comm);
  });
}

/// Adds hashes, state and, last, the commit mark. Without the room, closing would fail unnoticed on
/// a full disk.
void complete(const std::string& path, const Manifest& manifest) {
  constexpr uint64_t kRoom = uint64_t{1} << 21;
  reserve_space(path, std::filesystem::file_size(path) + manifest.state.size() + kRoom);
  auto file = H5File::open_for_writing(path);
  for (const auto& [name, array] : manifest.arrays)
    file.write_rows("hashes/" + name, 0,
                    at::from_blob(const_cast<uint32_t*>(array.hashes.data()),
                                  {static_cast<int64_t>(array.hashes.size())}, at::kUInt32));
  file.write_text("state", manifest.state);
  file.write_text("commit", manifest.digest());
  file.close();
}

void write_pointer(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename().string() + "\n";
  const std::string folder = parent_folder(path);
  write_file(folder + "/latest", {reinterpret_cast<const uint8_t*>(name.data()), name.size()});
  sync_path(folder);
}

}  // namespace

at::Tensor written_share(const at::Tensor& values, CheckpointWriter writer, MPI_Comm comm) {
  return elements_of(values, written_blocks(values, writer, comm));
}

void write_checkpoint(const std::string& path, const CheckpointContent& content, MPI_Comm comm,
                      CheckpointWriter writer, CheckpointForm* form) {
  check_arrays(content);
  const std::string temporary = path + ".tmp";
  std::optional<TemporaryFile> guard;
  if (comm_rank(comm) == 0) guard.emplace(temporary);
  CheckpointForm form_of_this_file;
  if (form == nullptr) form = &form_of_this_file;

  on_root(comm, [&] {
    require_space(temporary, space_for(content));
    form->write(temporary, content);
    fault_point("create", comm);
  });
  Manifest manifest = describe(content);
  if (writer == CheckpointWriter::collective) {
    write_arrays(temporary, content, comm, manifest);
  } else {
    write_arrays_on_root(temporary, content, comm, manifest);
  }
  gather_hashes(manifest, comm);
  on_root(comm, [&] {
    complete(temporary, manifest);
    fault_point("fsync", comm);
  });
  // Each rank knows of its own data only whether they are on the storage.
  together(comm, [&] { sync_path(temporary); });
  on_root(comm, [&] {
    fault_point("rename", comm);
    rename_durably(temporary, path);
    guard->keep();
    fault_point("pointer", comm);
    write_pointer(path);
  });
}

}  // namespace galette::io
