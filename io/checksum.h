// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli) against damage in storage, and SHA-256 (FIPS 180-4) to name contents.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace galette::io {

/// CRC-32C of `size` bytes; `crc` continues an earlier result.
uint32_t crc32c(const void* data, size_t size, uint32_t crc = 0);

class Sha256 {
 public:
  void update(const void* data, size_t size);
  /// The digest as 64 hexadecimal digits. Ends the computation.
  std::string hex_digest();

 private:
  void add_block(const uint8_t* block);

  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> block_{};
  uint64_t size_ = 0;
};

}  // namespace galette::io
