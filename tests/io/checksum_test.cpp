// SPDX-License-Identifier: Apache-2.0
#include "io/checksum.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace galette::io {
namespace {

std::string sha256(const std::string& text, size_t piece) {
  Sha256 hash;
  for (size_t i = 0; i < text.size(); i += piece) {
    const std::string part = text.substr(i, piece);
    hash.update(part.data(), part.size());
  }
  return hash.hex_digest();
}

// The check value of the CRC catalogue, and the vectors of RFC 3720, appendix B.4.
TEST(Crc32c, PublishedVectors) {
  EXPECT_EQ(crc32c("123456789", 9), 0xe3069283u);
  EXPECT_EQ(crc32c("", 0), 0u);
  EXPECT_EQ(crc32c(std::string(32, '\0').data(), 32), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff').data(), 32), 0x62a8ab43u);
}

TEST(Crc32c, ContinuesAnEarlierResult) {
  const std::string text = "the quick brown fox jumps over the lazy dog";
  const uint32_t whole = crc32c(text.data(), text.size());
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(crc32c(text.data() + cut, text.size() - cut, crc32c(text.data(), cut)), whole);
  }
}

// Long inputs are taken in three lanes at once; pieces of an odd size are too short for that.
TEST(Crc32c, LongInputsGiveWhatTheirPiecesGive) {
  std::string text(500003, '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * i / 7);
  for (const size_t size : {size_t{49151}, size_t{49152}, size_t{98305}, text.size()}) {
    uint32_t crc = 0;
    for (size_t i = 0; i < size; i += 101)
      crc = crc32c(text.data() + i, std::min<size_t>(101, size - i), crc);
    EXPECT_EQ(crc32c(text.data(), size), crc) << size;
  }
}

// FIPS 180-4, examples for SHA-256; the third is a million letters.
TEST(Sha256, PublishedVectors) {
  EXPECT_EQ(sha256("", 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 5),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1000000, 'a'), 1000),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace galette::io
