// SPDX-License-Identifier: Apache-2.0
#include "io/checkpoint_form.h"

#include <algorithm>
#include <filesystem>

#include <fcntl.h>

#include "io/checkpoint_manifest.h"
#include "io/descriptor.h"
#include "io/durable.h"
#include "io/hdf5.h"
#include "io/positional_file.h"

namespace galette::io {
namespace {

constexpr int64_t kPage = 4096;

struct Range {
  int64_t begin, end;
};

/// Creates the objects; returns the places of the arrays' data, in the order of the file.
std::vector<Range> create_objects(const std::string& path, const CheckpointContent& content) {
  auto file = H5File::create(path);
  file.set_attribute("/", "format_version", kCheckpointVersion);
  file.write_text("format", kCheckpointFormat);
  file.create_group("arrays");
  std::vector<Range> data;
  for (const auto& array : content.arrays) {
    const std::string name = "arrays/" + array.name;
    const auto bytes = static_cast<int64_t>(array.values.nbytes());
    file.create_dataset(name, array.values.scalar_type(), {array.values.numel()});
    file.create_dataset("hashes/" + array.name, at::kUInt32, {block_count(array.values)});
    if (bytes > 0) data.push_back({file.raw_offset(name), file.raw_offset(name) + bytes});
  }
  for (const auto& array : content.arrays) file.create_views("/arrays/" + array.name, array.slices);
  file.close();
  std::sort(data.begin(), data.end(), [](Range a, Range b) { return a.begin < b.begin; });
  return data;
}

}  // namespace

uint64_t space_for(const CheckpointContent& content) {
  constexpr uint64_t kMargin = uint64_t{1} << 21;  // alignment, hashes
  constexpr uint64_t kRoomOfName = uint64_t{1} << 11;
  uint64_t bytes = content.state.dump().size() + kMargin;
  for (const auto& array : content.arrays)
    bytes += array.values.nbytes() + kMargin + array.slices.size() * kRoomOfName;
  return bytes;
}

std::vector<CheckpointForm::Part> CheckpointForm::parts_of(const CheckpointContent& content) {
  std::vector<Part> parts;
  for (const auto& [name, values, slices] : content.arrays)
    parts.push_back({name, values.scalar_type(), values.numel(), slices});
  return parts;
}

void CheckpointForm::write(const std::string& path, const CheckpointContent& content) {
  std::vector<Part> parts = parts_of(content);
  if (parts == parts_ && !parts.empty()) {
    write_kept(path);
    return;
  }
  parts_.clear();  // in case that making fails
  make(path, content);
  parts_ = std::move(parts);
}

void CheckpointForm::make(const std::string& path, const CheckpointContent& content) {
  // Without the room, closing would fail unnoticed on a full disk.
  reserve_space(path, space_for(content));
  const std::vector<Range> data = create_objects(path, content);
  size_ = static_cast<int64_t>(std::filesystem::file_size(path));
  reserve_space(path, static_cast<uint64_t>(size_));
  pieces_.clear();
  int64_t begin = 0;
  for (const Range& range : data) {
    keep_bytes(path, begin, range.begin);
    begin = range.end;
  }
  keep_bytes(path, begin, size_);
}

/// Alignment and room for hashes leave pages of zeros, which need not be kept.
void CheckpointForm::keep_bytes(const std::string& path, int64_t begin, int64_t end) {
  const PositionalFile file(path, PositionalFile::Access::read);
  for (; begin < end; begin += kPage) {
    std::vector<uint8_t> page(static_cast<size_t>(std::min(kPage, end - begin)));
    file.read(page.data(), static_cast<int64_t>(page.size()), begin);
    if (std::any_of(page.begin(), page.end(), [](uint8_t byte) { return byte != 0; }))
      pieces_.push_back({begin, std::move(page)});
  }
}

void CheckpointForm::write_kept(const std::string& path) const {
  // What an interrupted save left would show where nothing is written.
  { const Descriptor emptied(path, O_WRONLY | O_CREAT | O_TRUNC); }
  reserve_space(path, static_cast<uint64_t>(size_));
  std::filesystem::resize_file(path, static_cast<uint64_t>(size_));
  PositionalFile file(path, PositionalFile::Access::write);
  for (const Piece& piece : pieces_)
    file.write(piece.bytes.data(), static_cast<int64_t>(piece.bytes.size()), piece.offset);
}

}  // namespace galette::io
