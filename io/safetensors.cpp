// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "io/check.h"
#include "io/durable.h"
#include "io/positional_file.h"
#include "io/safetensors_header.h"

namespace galette::io {
namespace {

/// Larger elements first, so that every tensor is aligned to its elements.
SafetensorsHeader lay_out(const SafetensorsFile& file) {
  SafetensorsHeader header;
  header.metadata = file.metadata;
  for (const auto& [name, tensor] : file.tensors) {
    check_safetensors_type(name, tensor.scalar_type());
    header.entries.push_back({name, tensor.scalar_type(), tensor.sizes().vec(), 0, 0});
  }
  std::stable_sort(header.entries.begin(), header.entries.end(), [](const auto& a, const auto& b) {
    return c10::elementSize(a.type) > c10::elementSize(b.type);
  });
  int64_t end = 0;
  for (SafetensorsEntry& entry : header.entries) {
    entry.begin = end;
    end += static_cast<int64_t>(file.tensors.at(entry.name).nbytes());
    entry.end = end;
  }
  return header;
}

void check_is_file(const std::string& path) {
  if (!std::filesystem::exists(path)) throw InputError(fmt::format("{}: does not exist", path));
  if (!std::filesystem::is_regular_file(path))
    throw InputError(fmt::format("{}: is not a file; give a safetensors file", path));
}

}  // namespace

void write_safetensors(const std::string& path, const SafetensorsFile& file) {
  const SafetensorsHeader header = lay_out(file);
  const std::string head = header.encode();
  const auto data_offset = static_cast<int64_t>(head.size());
  const int64_t data_bytes = header.entries.empty() ? 0 : header.entries.back().end;
  TemporaryFile temporary(path + ".tmp");
  std::filesystem::remove(temporary.path());
  reserve_space(temporary.path(), static_cast<uint64_t>(data_offset + data_bytes));
  PositionalFile out(temporary.path(), PositionalFile::Access::write);
  out.write(head.data(), data_offset, 0);
  for (const SafetensorsEntry& entry : header.entries) {
    const at::Tensor value = file.tensors.at(entry.name).detach().cpu().contiguous();
    out.write(value.const_data_ptr(), entry.end - entry.begin, data_offset + entry.begin);
  }
  replace_durably(temporary.path(), path);
  temporary.keep();
}

SafetensorsFile read_safetensors(const std::string& path) {
  check_is_file(path);
  const PositionalFile in(path, PositionalFile::Access::read);
  const SafetensorsHeader header = read_safetensors_header(path, in);
  SafetensorsFile file;
  file.metadata = header.metadata;
  for (const SafetensorsEntry& entry : header.entries) {
    const at::Tensor value = at::empty(entry.shape, entry.type);
    in.read(value.data_ptr(), entry.end - entry.begin, header.data_offset + entry.begin);
    file.tensors[entry.name] = value;
  }
  return file;
}

}  // namespace galette::io
