// SPDX-License-Identifier: Apache-2.0
// Reading a checkpoint: every rank reads and verifies its blocks, and the ranks exchange them.
#include <algorithm>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "io/check.h"
#include "io/checkpoint.h"
#include "io/checkpoint_manifest.h"
#include "io/checksum.h"
#include "io/hdf5.h"
#include "io/positional_file.h"
#include "io/together.h"

namespace galette::io {
namespace {

ArrayRecord load_record(const H5File& file, const std::string& name) {
  const std::string data = "arrays/" + name;
  const at::Tensor hashes = file.read("hashes/" + name).to(at::kLong).contiguous();
  const int64_t* hash = hashes.const_data_ptr<int64_t>();
  ArrayRecord record{file.type(data), 0, {hash, hash + hashes.numel()}};
  const auto shape = file.shape(data);
  if (shape.size() == 1) record.size = shape[0];
  return record;
}

Manifest load_manifest(const H5File& file) {
  if (!file.exists("commit") || !file.has_attribute("/", "format_version"))
    throw DamagedFile(fmt::format("{}: was never completed", file.path()));
  const int64_t version = file.int_attribute("/", "format_version");
  if (version != kCheckpointVersion)
    throw InputError(
        fmt::format("{}: has format version {}, this program reads {}; use the program "
                    "that wrote it",
                    file.path(), version, kCheckpointVersion));
  Manifest manifest{file.read_text("format"), file.read_text("state"), {}};
  for (const auto& name : file.list("arrays"))
    manifest.arrays.emplace(name, load_record(file, name));
  if (file.read_text("commit") != manifest.digest())
    throw DamagedFile(fmt::format("{}: its state or table of hashes is damaged", file.path()));
  if (manifest.format != kCheckpointFormat)
    throw InputError(fmt::format("{}: is not a checkpoint of this program", file.path()));
  return manifest;
}

[[noreturn]] void other_options(const std::string& path, const std::string& what) {
  throw InputError(fmt::format("{}: {}; it was made with other options: use those, or a new folder",
                               path, what));
}

void check_matches(const std::string& path, const Manifest& manifest,
                   const std::vector<FlatArray>& arrays) {
  for (const auto& [name, values, slices] : arrays) {
    const auto found = manifest.arrays.find(name);
    if (found == manifest.arrays.end()) other_options(path, fmt::format("lacks array '{}'", name));
    const ArrayRecord& record = found->second;
    if (record.size != values.numel() || record.type != values.scalar_type())
      other_options(path, fmt::format("array '{}' has {} elements of type {}, here it has {} of {}",
                                      name, record.size, c10::toString(record.type), values.numel(),
                                      c10::toString(values.scalar_type())));
  }
  if (manifest.arrays.size() != arrays.size())
    other_options(path, fmt::format("has {} arrays, here there are {}", manifest.arrays.size(),
                                    arrays.size()));
}

/// Reads this rank's blocks of an array, each by one thread, which compares its hash while it is in
/// the cache. HDF5 takes one thread at a time only, and is asked where the data are.
void read_share(const H5File& file, const PositionalFile& data, const FlatArray& array,
                const ArrayRecord& record, BlockRange mine) {
  if (static_cast<int64_t>(record.hashes.size()) != block_count(array.values))
    throw DamagedFile(fmt::format("{}: array '{}' lacks hashes", file.path(), array.name));
  if (array.values.numel() == 0) return;
  const int64_t start = file.raw_offset("arrays/" + array.name);
  const auto bytes = static_cast<int64_t>(array.values.nbytes());
  auto* into = static_cast<char*>(array.values.data_ptr());
  at::parallel_for(mine.begin, mine.end, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t offset = block * kBlockBytes, size = std::min(kBlockBytes, bytes - offset);
      data.read(into + offset, size, start + offset);
      if (crc32c(into + offset, static_cast<size_t>(size)) !=
          record.hashes[static_cast<size_t>(block)])
        throw DamagedFile(fmt::format("{}: array '{}' is damaged in its MiB number {}", file.path(),
                                      array.name, block));
    }
  });
}

/// What HDF5 cannot make sense of is damage too.
void verify_share(const std::string& path, CheckpointContent& into, int rank, int ranks) {
  try {
    const auto file = H5File::open(path);
    const PositionalFile data(path, PositionalFile::Access::read);
    const Manifest manifest = load_manifest(file);
    check_matches(path, manifest, into.arrays);
    for (const auto& array : into.arrays)
      read_share(file, data, array, manifest.arrays.at(array.name),
                 share_of(block_count(array.values), rank, ranks));
    into.state = nlohmann::json::parse(manifest.state);
  } catch (const InputError&) {
    throw;
  } catch (const std::exception& error) {
    throw DamagedFile(fmt::format("{}: cannot be read: {}", path, error.what()));
  }
}

class BlockType {
 public:
  BlockType() {
    MPI_CHECK(MPI_Type_contiguous(static_cast<int>(kBlockBytes), MPI_BYTE, &type_));
    MPI_CHECK(MPI_Type_commit(&type_));
  }
  BlockType(const BlockType&) = delete;
  BlockType& operator=(const BlockType&) = delete;
  ~BlockType() { MPI_Type_free(&type_); }
  MPI_Datatype get() const { return type_; }

 private:
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
};

/// Gives every rank the blocks of all ranks. Counting in blocks keeps MPI's int counts small.
void exchange_shares(at::Tensor values, MPI_Comm comm) {
  const int ranks = comm_size(comm);
  const auto bytes = static_cast<int64_t>(values.nbytes());
  const int64_t whole_blocks = bytes / kBlockBytes;
  std::vector<int> counts, starts;
  for (int rank = 0; rank < ranks; ++rank) {
    const BlockRange share = share_of(block_count(values), rank, ranks);
    starts.push_back(static_cast<int>(share.begin));
    counts.push_back(static_cast<int>(std::min(share.end, whole_blocks) - share.begin));
  }
  const BlockType block;
  MPI_CHECK(MPI_Allgatherv(MPI_IN_PLACE, 0, block.get(), values.data_ptr(), counts.data(),
                           starts.data(), block.get(), comm));
  auto* rest = static_cast<char*>(values.data_ptr()) + whole_blocks * kBlockBytes;
  MPI_CHECK(MPI_Bcast(rest, static_cast<int>(bytes % kBlockBytes), MPI_BYTE, ranks - 1, comm));
}

}  // namespace

void read_checkpoint(const std::string& path, CheckpointContent& into, MPI_Comm comm) {
  together(comm, [&] { verify_share(path, into, comm_rank(comm), comm_size(comm)); });
  for (const auto& array : into.arrays) exchange_shares(array.values, comm);
}

}  // namespace galette::io
