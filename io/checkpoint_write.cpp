// SPDX-License-Identifier: Apache-2.0
// Writing a checkpoint. HDF5 reports a full disk from H5Dwrite but not from flush or close, and not
// on every rank: each step's outcome is agreed on before the next, so that nothing unsound is
// renamed and no rank waits for one that failed.
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
#include "io/checkpoint_manifest.h"
#include "io/durable.h"
#include "io/file_util.h"
#include "io/hdf5.h"
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

uint64_t needed_bytes(const CheckpointContent& content) {
  constexpr uint64_t kMargin = uint64_t{1} << 21;  // alignment and names
  uint64_t bytes = content.state.dump().size();
  for (const auto& array : content.arrays) bytes += array.values.nbytes() + kMargin;
  return bytes + kMargin;
}

/// A write that cannot fit is better refused than interrupted.
void require_space(const std::string& path, uint64_t needed) {
  const uint64_t free = free_bytes(parent_folder(path));
  if (free < needed)
    throw std::runtime_error(
        fmt::format("{}: not enough space: {} MiB needed, {} MiB free; make room in the folder",
                    path, needed >> 20, free >> 20));
  reserve_space(path, needed);
}

BlockRange written_blocks(const at::Tensor& values, CheckpointWriter writer, MPI_Comm comm) {
  const int64_t blocks = block_count(values);
  if (writer == CheckpointWriter::collective)
    return share_of(blocks, comm_rank(comm), comm_size(comm));
  return comm_rank(comm) == 0 ? BlockRange{0, blocks} : BlockRange{blocks, blocks};
}

/// Each rank hashes the blocks that it will write.
Manifest describe(const CheckpointContent& content, CheckpointWriter writer, MPI_Comm comm) {
  Manifest manifest{kCheckpointFormat, content.state.dump(), {}};
  for (const auto& array : content.arrays) {
    ArrayRecord record{array.values.scalar_type(), array.values.numel(), {}};
    const int64_t blocks = block_count(array.values);
    record.hashes.assign(static_cast<size_t>(blocks), 0);
    const BlockRange mine = written_blocks(array.values, writer, comm);
    for (int64_t block = mine.begin; block < mine.end; ++block)
      record.hashes[static_cast<size_t>(block)] = hash_block(array.values, block);
    MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, record.hashes.data(), static_cast<int>(blocks),
                            MPI_UINT32_T, MPI_SUM, comm));
    manifest.arrays.emplace(array.name, std::move(record));
  }
  return manifest;
}

/// The file as it will be but for the data of the arrays, their slices' names and the commit mark.
/// By one rank: objects are slow to make collectively.
void lay_out(const std::string& path, const Manifest& manifest) {
  auto file = H5File::create(path);
  file.set_attribute("/", "format_version", kCheckpointVersion);
  file.write_text("format", manifest.format);
  file.write_text("state", manifest.state);
  file.create_group("arrays");
  for (const auto& [name, array] : manifest.arrays) {
    file.create_dataset("arrays/" + name, array.type, {array.size});
    file.write("hashes/" + name,
               at::from_blob(const_cast<uint32_t*>(array.hashes.data()),
                             {static_cast<int64_t>(array.hashes.size())}, at::kUInt32));
  }
  file.close();
  reserve_space(path, std::filesystem::file_size(path));
}

void write_arrays(const std::string& path, const CheckpointContent& content, MPI_Comm comm) {
  std::optional<H5File> file;
  together(comm, [&] { file = H5File::open_parallel(path, comm); });
  for (const auto& array : content.arrays) {
    const BlockRange mine = written_blocks(array.values, CheckpointWriter::collective, comm);
    const int64_t first = elements_of(array.values, {0, mine.begin}).numel();
    together(comm, [&] {
      file->write_rows("arrays/" + array.name, first, elements_of(array.values, mine));
    });
  }
  fault_point("write", comm);
  // The storage gets to work while names are added; all ranks wait for it afterwards.
  together(comm, [&] { start_syncing(path); });
  fault_point("flush", comm);
  together(comm, [&] { file->close(); });
  fault_point("close", comm);
}

/// The same by rank 0 alone.
void write_arrays_on_root(const std::string& path, const CheckpointContent& content,
                          MPI_Comm comm) {
  on_root(comm, [&] {
    auto file = H5File::open_for_writing(path);
    for (const auto& array : content.arrays)
      file.write_rows("arrays/" + array.name, 0, array.values);
    fault_point("write", comm);
    file.flush();
    start_syncing(path);
    fault_point("flush", comm);
    file.close();
    fault_point("close", comm);
  });
}

/// Adds the names of the slices and, last, the commit mark. Without the room, closing would fail
/// unnoticed on a full disk.
void complete(const std::string& path, const CheckpointContent& content, const Manifest& manifest) {
  constexpr uint64_t kRoom = uint64_t{1} << 20, kRoomOfName = uint64_t{1} << 11;
  uint64_t room = kRoom;
  for (const auto& array : content.arrays) room += array.slices.size() * kRoomOfName;
  reserve_space(path, std::filesystem::file_size(path) + room);
  auto file = H5File::open_for_writing(path);
  for (const auto& array : content.arrays) file.create_views("/arrays/" + array.name, array.slices);
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
                      CheckpointWriter writer) {
  check_arrays(content);
  const std::string temporary = path + ".tmp";
  std::optional<TemporaryFile> guard;
  if (comm_rank(comm) == 0) guard.emplace(temporary);

  on_root(comm, [&] { require_space(temporary, needed_bytes(content)); });
  const Manifest manifest = describe(content, writer, comm);
  on_root(comm, [&] {
    lay_out(temporary, manifest);
    fault_point("create", comm);
  });
  if (writer == CheckpointWriter::collective) {
    write_arrays(temporary, content, comm);
  } else {
    write_arrays_on_root(temporary, content, comm);
  }
  on_root(comm, [&] {
    complete(temporary, content, manifest);
    fault_point("fsync", comm);
  });
  // Each rank knows of its own data only whether they are on the storage.
  together(comm, [&] { sync_path(temporary); });
  on_root(comm, [&] {
    fault_point("rename", comm);
    replace_durably(temporary, path);
    guard->keep();
    fault_point("pointer", comm);
    write_pointer(path);
  });
}

}  // namespace galette::io
