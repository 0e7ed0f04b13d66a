// SPDX-License-Identifier: Apache-2.0
#include "io/checksum.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

namespace galette::io {
namespace {

/// tables[0] advances a CRC by one byte, tables[k] by the same byte followed by k zero bytes.
using CrcTables = std::array<std::array<uint32_t, 256>, 8>;

constexpr CrcTables make_crc_tables() {
  constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli's, lowest bit first
  CrcTables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t crc = tables[k - 1][byte];
      tables[k][byte] = (crc >> 8) ^ tables[0][crc & 0xff];
    }
  }
  return tables;
}

constexpr CrcTables kCrcTables = make_crc_tables();

uint32_t crc_of_eight(uint32_t crc, const uint8_t* bytes) {
  uint32_t result = 0;
  for (size_t i = 0; i < 4; ++i) {
    result ^= kCrcTables[7 - i][bytes[i] ^ ((crc >> (8 * i)) & 0xff)];
    result ^= kCrcTables[3 - i][bytes[4 + i]];
  }
  return result;
}

uint32_t crc_of_words_by_table(uint32_t crc, const uint8_t* bytes, size_t size) {
  for (size_t i = 0; i < size; i += 8) crc = crc_of_eight(crc, bytes + i);
  return crc;
}

#ifdef __x86_64__
bool has_crc_instruction() {
  return __builtin_cpu_supports("sse4.2") != 0;
}

constexpr size_t kLane = size_t{1} << 14;

/// A linear map of CRC states: the image of each bit.
using CrcMap = std::array<uint32_t, 32>;

constexpr uint32_t image_of(const CrcMap& map, uint32_t crc) {
  uint32_t image = 0;
  for (size_t bit = 0; bit < map.size(); ++bit)
    if ((crc >> bit & 1) != 0) image ^= map[bit];
  return image;
}

/// What `count` zero bytes do to a state; `count` is a power of two.
constexpr CrcMap map_of_zero_bytes(size_t count) {
  CrcMap map{};
  for (size_t bit = 0; bit < map.size(); ++bit) {
    const uint32_t crc = uint32_t{1} << bit;
    map[bit] = (crc >> 8) ^ kCrcTables[0][crc & 0xff];
  }
  for (size_t bytes = 1; bytes < count; bytes *= 2) {
    CrcMap twice{};
    for (size_t bit = 0; bit < map.size(); ++bit) twice[bit] = image_of(map, map[bit]);
    map = twice;
  }
  return map;
}

constexpr CrcMap kAfterLane = map_of_zero_bytes(kLane);

__attribute__((target("sse4.2"))) uint64_t crc_of_word(uint64_t crc, const uint8_t* bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  return __builtin_ia32_crc32di(crc, word);
}

/// The processor takes a word of each of three lanes in the time of one, since none waits for
/// another's result. The state after lanes A, B, C is that of A carried over two lanes of zeros,
/// of B over one, and of C, added up.
__attribute__((target("sse4.2"))) uint32_t crc_of_three_lanes(uint32_t crc, const uint8_t* bytes) {
  uint64_t a = crc, b = 0, c = 0;
  for (size_t i = 0; i < kLane; i += 8) {
    a = crc_of_word(a, bytes + i);
    b = crc_of_word(b, bytes + kLane + i);
    c = crc_of_word(c, bytes + 2 * kLane + i);
  }
  const uint32_t ab = image_of(kAfterLane, static_cast<uint32_t>(a)) ^ static_cast<uint32_t>(b);
  return image_of(kAfterLane, ab) ^ static_cast<uint32_t>(c);
}

/// By the processor's own instruction: ten times as fast as the tables.
__attribute__((target("sse4.2"))) uint32_t crc_of_words(uint32_t crc, const uint8_t* bytes,
                                                        size_t size) {
  for (; size >= 3 * kLane; size -= 3 * kLane, bytes += 3 * kLane)
    crc = crc_of_three_lanes(crc, bytes);
  uint64_t state = crc;
  for (size_t i = 0; i < size; i += 8) state = crc_of_word(state, bytes + i);
  return static_cast<uint32_t>(state);
}
#else
bool has_crc_instruction() {
  return false;
}

uint32_t crc_of_words(uint32_t crc, const uint8_t* bytes, size_t size) {
  return crc_of_words_by_table(crc, bytes, size);
}
#endif

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr std::array<uint32_t, 64> kRoundConstants{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

std::array<uint32_t, 64> message_schedule(const uint8_t* block) {
  std::array<uint32_t, 64> w{};
  for (size_t i = 0; i < 16; ++i) {
    w[i] = uint32_t{block[4 * i]} << 24 | uint32_t{block[4 * i + 1]} << 16 |
           uint32_t{block[4 * i + 2]} << 8 | uint32_t{block[4 * i + 3]};
  }
  for (size_t i = 16; i < 64; ++i) {
    const uint32_t a = w[i - 15], b = w[i - 2];
    const uint32_t sigma0 = std::rotr(a, 7) ^ std::rotr(a, 18) ^ (a >> 3);
    const uint32_t sigma1 = std::rotr(b, 17) ^ std::rotr(b, 19) ^ (b >> 10);
    w[i] = w[i - 16] + sigma0 + w[i - 7] + sigma1;
  }
  return w;
}

}  // namespace

uint32_t crc32c(const void* data, size_t size, uint32_t crc) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  const size_t whole = size / 8 * 8;
  crc = has_crc_instruction() ? crc_of_words(~crc, bytes, whole)
                              : crc_of_words_by_table(~crc, bytes, whole);
  for (size_t i = whole; i < size; ++i) crc = (crc >> 8) ^ kCrcTables[0][(crc ^ bytes[i]) & 0xff];
  return ~crc;
}

void Sha256::add_block(const uint8_t* block) {
  const std::array<uint32_t, 64> w = message_schedule(block);
  auto [a, b, c, d, e, f, g, h] = state_;
  for (size_t i = 0; i < 64; ++i) {
    const uint32_t sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const uint32_t t1 = h + sum1 + ((e & f) ^ (~e & g)) + kRoundConstants[i] + w[i];
    const uint32_t sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const uint32_t t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const std::array<uint32_t, 8> mixed{a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < 8; ++i) state_[i] += mixed[i];
}

void Sha256::update(const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  while (size > 0) {
    const size_t used = size_ % block_.size();
    const size_t count = std::min(size, block_.size() - used);
    std::memcpy(block_.data() + used, bytes, count);
    size_ += count, bytes += count, size -= count;
    if (size_ % block_.size() == 0) add_block(block_.data());
  }
}

std::string Sha256::hex_digest() {
  const uint64_t bits = 8 * size_;
  const uint8_t one = 0x80, zero = 0;
  update(&one, 1);
  while (size_ % block_.size() != block_.size() - sizeof bits) update(&zero, 1);
  std::array<uint8_t, sizeof bits> length{};
  for (size_t i = 0; i < length.size(); ++i) length[i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
  update(length.data(), length.size());
  std::string hex;
  for (const uint32_t word : state_) hex += fmt::format("{:08x}", word);
  return hex;
}

}  // namespace galette::io
