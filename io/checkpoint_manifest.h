// SPDX-License-Identifier: Apache-2.0
// What makes a checkpoint whole: its state and, for every array, type, size and the CRC-32C of each
// block of 1 MiB. The ranks share blocks, never parts of one, so hashes do not depend on their
// number.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>

namespace galette::io {

constexpr int64_t kBlockBytes = int64_t{1} << 20;
constexpr int64_t kCheckpointVersion = 1;
constexpr const char* kCheckpointFormat = "galette-checkpoint";

struct ArrayRecord {
  at::ScalarType type = at::kFloat;
  int64_t size = 0;  ///< elements
  std::vector<uint32_t> hashes;
};

struct Manifest {
  std::string format;
  std::string state;  ///< JSON
  std::map<std::string, ArrayRecord> arrays;
  /// SHA-256 of all of it, in hexadecimal.
  std::string digest() const;
};

int64_t block_count(const at::Tensor& values);

/// The blocks [begin, end) of an array that a rank writes and verifies. The last rank always has
/// the last block, the only one that may be shorter.
struct BlockRange {
  int64_t begin, end;
};
BlockRange share_of(int64_t blocks, int rank, int ranks);

/// The elements of a range of blocks.
at::Tensor elements_of(const at::Tensor& values, BlockRange range);

/// The CRC-32C of one block.
uint32_t hash_block(const at::Tensor& values, int64_t block);

}  // namespace galette::io
