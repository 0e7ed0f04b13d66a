// SPDX-License-Identifier: Apache-2.0
// Known answers of Philox 4x32-10, published with the Random123 library.
#include "kernels/philox.h"

#include <gtest/gtest.h>

namespace galette {
namespace {

void expect_block(const PhiloxBlock& block, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  EXPECT_EQ(block.x[0], a);
  EXPECT_EQ(block.x[1], b);
  EXPECT_EQ(block.x[2], c);
  EXPECT_EQ(block.x[3], d);
}

TEST(Philox, GivesThePublishedBlocks) {
  const uint32_t ones = 0xffffffffu;
  expect_block(philox4x32(0, 0, 0, 0, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
  expect_block(philox4x32(ones, ones, ones, ones, ones, ones), 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
               0x6d5451fd);
  expect_block(philox4x32(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0),
               0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
}

}  // namespace
}  // namespace galette
