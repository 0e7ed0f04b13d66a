// SPDX-License-Identifier: Apache-2.0
// Safetensors: round trips, the layout byte by byte, and headers that lie.
#include "io/safetensors.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "io/file_kind.h"
#include "tests/io/image_files.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

using namespace testing;
using galette::testing::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;

Bytes file_bytes(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  Bytes bytes(sizeof length + header.size() + data_bytes);
  std::memcpy(bytes.data(), &length, sizeof length);
  std::copy(header.begin(), header.end(), bytes.begin() + sizeof length);
  for (size_t i = 0; i < data_bytes; ++i) bytes[sizeof length + header.size() + i] = uint8_t(i);
  return bytes;
}

SafetensorsFile sample() {
  SafetensorsFile file;
  file.metadata = {{"format", "pt"}, {"note", "caf\u00e9 \"quoted\""}};
  for (const auto type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt,
                          at::kShort, at::kChar, at::kByte})
    file.tensors[c10::toString(type)] = at::arange(-3, 3, at::kFloat).view({2, 3}).to(type);
  file.tensors["bool"] = at::tensor({1, 0, 1}, at::kByte).to(at::kBool);
  file.tensors["scalar"] = at::full({}, 0.5, at::kFloat);
  file.tensors["empty"] = at::empty({0, 7}, at::kFloat);
  return file;
}

TEST(Safetensors, KeepsEveryTypeBitForBit) {
  const TempDir dir;
  const SafetensorsFile written = sample();
  write_safetensors(dir.file("t.safetensors"), written);
  EXPECT_FALSE(std::filesystem::exists(dir.file("t.safetensors.tmp")));
  const SafetensorsFile read = read_safetensors(dir.file("t.safetensors"));
  EXPECT_EQ(read.metadata, written.metadata);
  ASSERT_EQ(read.tensors.size(), written.tensors.size());
  for (const auto& [name, value] : written.tensors) {
    const at::Tensor& other = read.tensors.at(name);
    EXPECT_EQ(other.scalar_type(), value.scalar_type()) << name;
    EXPECT_EQ(other.sizes(), value.sizes()) << name;
    EXPECT_TRUE(other.equal(value)) << name;
  }
}

TEST(Safetensors, StridedTensorsAreStoredInTheirOrder) {
  const TempDir dir;
  const at::Tensor strided = at::arange(6, at::kFloat).view({2, 3}).t();
  write_safetensors(dir.file("t"), {{{"a", strided}}, {}});
  EXPECT_TRUE(read_safetensors(dir.file("t")).tensors.at("a").equal(strided));
}

TEST(Safetensors, TheLayoutIsThePublishedOne) {
  const TempDir dir;
  write_safetensors(dir.file("t"), {{{"b", at::full({1}, 2, at::kInt)},
                                     {"a", at::full({1, 2}, 1, at::kByte)},
                                     {"c", at::full({1}, 1, at::kDouble)}},
                                    {}});
  const Bytes bytes = read_file(dir.file("t"));
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  EXPECT_EQ(length % 8, 0u);
  ASSERT_EQ(bytes.size(), 8 + length + 14);
  const std::string header(bytes.begin() + 8, bytes.begin() + 8 + int64_t(length));
  // Larger elements first: every tensor is aligned.
  EXPECT_THAT(header,
              AllOf(HasSubstr(R"("c":{"data_offsets":[0,8],"dtype":"F64","shape":[1]})"),
                    HasSubstr(R"("b":{"data_offsets":[8,12],"dtype":"I32","shape":[1]})"),
                    HasSubstr(R"("a":{"data_offsets":[12,14],"dtype":"U8","shape":[1,2]})")));
  EXPECT_EQ(Bytes(bytes.end() - 6, bytes.end()), (Bytes{2, 0, 0, 0, 1, 1}));
}

TEST(Safetensors, HeadersThatLieAreRefusedInOneLine) {
  const struct {
    const char* header;
    const char* complaint;
  } cases[] = {
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9]}})", "data have 8"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "'a' lies at bytes [8,0]"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})", "'data_offsets' is [-8,0]"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8.0]}})", "'data_offsets' is [0,8.0]"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", "'a' lies at bytes [0]"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "does not fit to its shape"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})",
       "does not fit to its shape"},
      {R"({"a":{"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0]},
           "b":{"dtype":"F64","shape":[],"data_offsets":[0,8]}})",
       "does not fit to its shape"},
      {R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})",
       "'shape' is [18446744073709551615]"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
           "b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "'b' begins at byte 0, the one before ends at 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "'a' begins at byte 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "end at byte 4 of 8"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
           "a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "'a' appears twice"},
      {R"({"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}})", "type F8_E4M3"},
      {R"({"a":{"shape":[8],"data_offsets":[0,8]}})", "no 'dtype'"},
      {R"({"a":{"dtype":"U8","data_offsets":[0,8]}})", "no 'shape'"},
      {R"({"a":{"dtype":"U8","shape":[[8]],"data_offsets":[0,8]}})", "nested too deeply"},
      {R"({"a":7})", "'a' is not described"},
      {R"({"__metadata__":{"a":7}})", "metadata is not a table of texts"},
      {R"({"a":)", "not JSON"},
      {"{\"\xff\":1}", "not JSON"},
  };
  const TempDir dir;
  for (const auto& c : cases) {
    write_file(dir.file("bad"), file_bytes(c.header, 8));
    EXPECT_THAT(input_error([&] { read_safetensors(dir.file("bad")); }),
                AllOf(HasSubstr("bad: "), HasSubstr(c.complaint)))
        << c.header;
  }
}

TEST(Safetensors, HugeAndNestedHeadersCostNothing) {
  const TempDir dir;
  Bytes bytes(64, '{');
  for (const uint64_t length : {uint64_t{57}, uint64_t{1} << 40, ~uint64_t{0}}) {
    std::memcpy(bytes.data(), &length, sizeof length);
    write_file(dir.file("bad"), bytes);
    EXPECT_THAT(input_error([&] { read_safetensors(dir.file("bad")); }),
                HasSubstr("header would have"));
  }
  write_file(dir.file("deep"), file_bytes("{\"a\":" + std::string(1 << 20, '['), 0));
  EXPECT_THAT(input_error([&] { read_safetensors(dir.file("deep")); }), HasSubstr("nested"));
}

TEST(Safetensors, EveryTruncationIsDamage) {
  const TempDir dir;
  write_safetensors(dir.file("t"), {{{"a", at::ones({2})}, {"b", at::zeros({1}, at::kByte)}}, {}});
  const Bytes whole = read_file(dir.file("t"));
  for (size_t size = 0; size < whole.size(); ++size) {
    write_file(dir.file("cut"), Bytes(whole.begin(), whole.begin() + int64_t(size)));
    EXPECT_THROW(read_safetensors(dir.file("cut")), DamagedFile) << size << " bytes";
  }
  EXPECT_THAT(input_error([&] { read_safetensors(dir.file("none")); }), HasSubstr("not exist"));
  EXPECT_THAT(input_error([&] { read_safetensors(dir.path()); }), HasSubstr("not a file"));
}

TEST(Safetensors, AFailedWriteLeavesTheOldFile) {
  const TempDir dir;
  write_safetensors(dir.file("t"), {{{"a", at::ones({2})}}, {}});
  const SafetensorsFile bad{{{"a", at::zeros({2}, at::kComplexFloat)}}, {}};
  EXPECT_THROW(write_safetensors(dir.file("t"), bad), std::runtime_error);
  EXPECT_TRUE(read_safetensors(dir.file("t")).tensors.at("a").equal(at::ones({2})));
  EXPECT_THROW(write_safetensors(dir.file("no/t"), sample()), std::runtime_error);
}

TEST(FileKind, IsToldByContent) {
  const TempDir dir;
  const auto kind = [&](const Bytes& bytes) {
    write_file(dir.file("f"), bytes);
    return file_kind(dir.file("f"));
  };
  EXPECT_EQ(kind(to_bytes("\x89HDF\r\n\x1a\n...")), FileKind::hdf5);
  EXPECT_EQ(kind(file_bytes(R"({"a":1})", 4)), FileKind::safetensors);
  EXPECT_EQ(kind({0x80, 4, 0x95, 1}), FileKind::pickle);
  EXPECT_EQ(kind(to_bytes("PK\x03\x04")), FileKind::zip);
  EXPECT_EQ(kind({}), FileKind::other);
  EXPECT_EQ(kind(to_bytes("hello, this is a text")), FileKind::other);
  EXPECT_THAT(input_error([&] { file_kind(dir.file("none")); }), HasSubstr("No such file"));
}

}  // namespace
}  // namespace galette::io
