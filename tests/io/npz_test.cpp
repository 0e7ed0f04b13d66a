// SPDX-License-Identifier: Apache-2.0
// Archives of arrays: back as written, with the bytes that NumPy writes, and damage refused.
#include "io/npz.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/file_set.h"
#include "io/file_util.h"
#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"

namespace galette::testing {
namespace {

using ::testing::HasSubstr;

class Npz : public ::testing::Test {
 protected:
  /// Replaces a text in the file by one of the same length. The archive's own checksum is not
  /// adjusted.
  void replace(const std::string& from, const std::string& to) {
    std::vector<uint8_t> bytes = io::read_file(path_);
    std::string text(bytes.begin(), bytes.end());
    text.replace(text.find(from), from.size(), to);
    io::write_file(path_, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }

  TempDir dir_;
  std::string path_ = dir_.file("w.npz");
};

TEST_F(Npz, ArraysComeBack) {
  const at::Tensor w = at::arange(24, at::kFloat).view({1, 4, 6}).transpose(1, 2);
  const at::Tensor x = at::tensor({1.5, -2.5}, at::kDouble);
  io::write_npz(path_, {{"w", w}, {"x", x}, {"scalar", at::scalar_tensor(3.0, at::kFloat)}});
  EXPECT_TRUE(at::equal(io::read_npz(path_, "w"), w));
  EXPECT_TRUE(at::equal(io::read_npz(path_, "x"), x));
  EXPECT_EQ(io::read_npz(path_, "scalar").item<double>(), 3);
}

TEST_F(Npz, HasTheFormOfNumPy) {
  io::write_npz(path_, {{"w", at::ones({1, 3}, at::kFloat)}});
  const std::vector<uint8_t> bytes = io::open_zip(path_, io::ZipMembers::stored)->read("w.npy");
  // numpy.lib.format: magic, version 1.0, 118 bytes of header, so that the values start at 128.
  std::string expected("\x93NUMPY\x01\x00\x76\x00", 10);
  expected += "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }";
  expected.resize(127, ' ');
  expected += '\n';
  EXPECT_EQ(std::string(bytes.begin(), bytes.begin() + 128), expected);
  EXPECT_EQ(bytes.size(), 128u + 12u);
}

TEST_F(Npz, DamageIsRefused) {
  const auto read = [&] { io::read_npz(path_, "w"); };
  EXPECT_THAT(error_of(read), HasSubstr("w.npz"));
  io::write_npz(path_, {{"x", at::ones({3})}});
  EXPECT_THAT(error_of(read), HasSubstr("w.npz: has no array 'w'"));
  io::write_npz(path_, {{"w", at::ones({3})}});
  replace("(3,)", "(4,)");
  EXPECT_THAT(error_of(read), HasSubstr("w.npz"));
  io::write_file(path_, std::vector<uint8_t>{1, 2, 3});
  EXPECT_THAT(error_of(read), HasSubstr("w.npz"));
  EXPECT_THROW(io::write_npz(dir_.file("no/w.npz"), {}), std::runtime_error);
}

}  // namespace
}  // namespace galette::testing
