// SPDX-License-Identifier: Apache-2.0
#include "io/checkpoint_manifest.h"

#include <fmt/format.h>

#include "io/checksum.h"

namespace galette::io {
namespace {

int64_t block_elements(const at::Tensor& values) {
  return kBlockBytes / values.element_size();
}

}  // namespace

std::string Manifest::digest() const {
  Sha256 sha;
  const auto add = [&](const std::string& text) { sha.update(text.data(), text.size()); };
  add(fmt::format("{}\n{}\n{}\n", format, state.size(), state));
  for (const auto& [name, array] : arrays) {
    add(fmt::format("{} {} {}\n", name, c10::toString(array.type), array.size));
    sha.update(array.hashes.data(), array.hashes.size() * sizeof(uint32_t));
  }
  return sha.hex_digest();
}

int64_t block_count(const at::Tensor& values) {
  return (values.numel() + block_elements(values) - 1) / block_elements(values);
}

BlockRange share_of(int64_t blocks, int rank, int ranks) {
  return {blocks * rank / ranks, blocks * (rank + 1) / ranks};
}

at::Tensor elements_of(const at::Tensor& values, BlockRange range) {
  const int64_t elements = block_elements(values);
  return values.slice(0, range.begin * elements, range.end * elements);  // ends at the array's end
}

uint32_t hash_block(const at::Tensor& values, int64_t block) {
  const at::Tensor bytes = elements_of(values, {block, block + 1});
  return crc32c(bytes.const_data_ptr(), bytes.nbytes());
}

}  // namespace galette::io
