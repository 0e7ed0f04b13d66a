// SPDX-License-Identifier: Apache-2.0
#include "io/weight_file.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "io/check.h"
#include "io/checksum.h"
#include "io/file_kind.h"
#include "io/positional_file.h"
#include "io/safetensors.h"
#include "io/torch_file.h"

namespace galette::io {

std::map<std::string, at::Tensor> read_weights(const std::string& path) {
  switch (file_kind(path)) {
    case FileKind::safetensors:
      return read_safetensors(path).tensors;
    case FileKind::pickle:
    case FileKind::zip:
      return read_torch_file(path);
    case FileKind::hdf5:
    case FileKind::other:
      break;
  }
  throw InputError(fmt::format(
      "{}: no file of weights; give one of PyTorch's (.pth, .pt, TorchScript) or safetensors",
      path));
}

std::string file_digest(const std::string& path) {
  constexpr int64_t kStep = 1 << 20;
  const PositionalFile file(path, PositionalFile::Access::read);
  const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
  std::vector<uint8_t> bytes(static_cast<size_t>(std::min(size, kStep)));
  Sha256 hash;
  for (int64_t offset = 0; offset < size; offset += kStep) {
    const int64_t count = std::min(kStep, size - offset);
    file.read(bytes.data(), count, offset);
    hash.update(bytes.data(), static_cast<size_t>(count));
  }
  return hash.hex_digest();
}

}  // namespace galette::io
