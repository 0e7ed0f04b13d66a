// SPDX-License-Identifier: Apache-2.0
#include "io/hdf5.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/check.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempDir;
using Shape = std::vector<int64_t>;

/// The one line of the InputError that `action` throws.
template <typename Action>
std::string input_error(const Action& action) {
  try {
    action();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
    return error.what();
  }
  ADD_FAILURE() << "no InputError was thrown";
  return "";
}

TEST(Hdf5, KeepsEveryTypeAndShape) {
  const TempDir dir;
  const auto types = {at::kByte, at::kInt, at::kLong, at::kHalf, at::kFloat, at::kDouble};
  auto file = H5File::create(dir.file("a.h5"));
  for (const auto type : types)
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{3}, Shape{2, 3, 4}})
      file.write(at::str(type, "/", shape.size(), "/", shape.empty() ? 1 : shape[0]),
                 at::full(shape, 7, type));
  file.close();
  file = H5File::open(dir.file("a.h5"));
  for (const auto type : types)
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{3}, Shape{2, 3, 4}}) {
      const auto value =
          file.read(at::str(type, "/", shape.size(), "/", shape.empty() ? 1 : shape[0]));
      EXPECT_EQ(value.scalar_type(), type);
      EXPECT_EQ(value.sizes().vec(), shape);
      EXPECT_TRUE(value.equal(at::full(shape, 7, type)));
    }
}

TEST(Hdf5, FindsItsWayInGroups) {
  const TempDir dir;
  auto file = H5File::create(dir.file("a.h5"));
  file.write("z/y/x", at::zeros({2}));
  file.write("b", at::zeros({1}));
  file.create_group("a");
  EXPECT_THAT(file.list("/"), ElementsAre("a", "b", "z"));
  EXPECT_THAT(file.list("/z/y"), ElementsAre("x"));
  EXPECT_TRUE(file.is_group("z/y") && file.is_group("/") && file.exists("/z/y/x"));
  EXPECT_FALSE(file.is_group("b") || file.exists("z/none/x") || file.is_group("none"));
}

TEST(Hdf5, ReadsAndWritesRows) {
  const TempDir dir;
  const auto values = at::arange(20, at::kInt).view({5, 4});
  auto file = H5File::create(dir.file("a.h5"));
  file.create_dataset("rows", at::kInt, {5, 4});
  file.write_rows("rows", 2, values.slice(0, 2));
  file.write_rows("rows", 0, values.slice(0, 0, 2));
  file.write_rows("rows", 5, values.slice(0, 5));
  EXPECT_TRUE(file.read("rows").equal(values));
  EXPECT_TRUE(file.read_rows("rows", 1, 3).equal(values.slice(0, 1, 4)));
  EXPECT_EQ(file.read_rows("rows", 5, 0).sizes(), (Shape{0, 4}));
  EXPECT_THAT(input_error([&] { file.read_rows("rows", 3, 3); }), HasSubstr("'rows'"));
}

TEST(Hdf5, ViewsShowSlicesByName) {
  const TempDir dir;
  auto file = H5File::create(dir.file("a.h5"));
  file.write("flat", at::arange(100, at::kFloat));
  file.create_views(
      "/flat", {{"net/fc1.weight", {3, 4}, 10}, {"net/scalar", {}, 50}, {"net/none", {0, 4}, 50}});
  file.close();
  file = H5File::open(dir.file("a.h5"));
  EXPECT_TRUE(file.read("net/fc1.weight").equal(at::arange(10, 22, at::kFloat).view({3, 4})));
  EXPECT_TRUE(file.read("net/scalar").equal(at::full({}, 50.0f)));
  EXPECT_EQ(file.read("net/none").sizes(), (Shape{0, 4}));
}

TEST(Hdf5, LargeDatasetsStartAtAMebibyte) {
  const TempDir dir;
  const auto values = at::arange(1 << 20, at::kInt);
  auto file = H5File::create(dir.file("a.h5"));
  file.write("small", at::zeros({3}));
  file.write("large", values);
  const int64_t offset = file.raw_offset("large");
  file.close();
  EXPECT_EQ(offset % (1 << 20), 0);
  std::ifstream raw(dir.file("a.h5"), std::ios::binary);
  raw.seekg(offset + 12345 * 4);
  int32_t element = 0;
  raw.read(reinterpret_cast<char*>(&element), sizeof(element));
  EXPECT_EQ(element, 12345);
}

TEST(Hdf5, AttributesAreReplacedAndTyped) {
  const TempDir dir;
  auto file = H5File::create(dir.file("a.h5"));
  file.write("data", at::zeros({1}));
  file.set_attribute("/", "text", "old");
  file.set_attribute("/", "text", "crêpe \"{}\"");
  file.set_attribute("data", "count", 3);
  file.set_attribute("data", "ratio", 0.5);
  file.set_attribute("data", "long", std::string(200000, 'x'));  // beyond an object header's 64 KiB
  EXPECT_EQ(file.string_attribute("/", "text"), "crêpe \"{}\"");
  EXPECT_EQ(file.int_attribute("data", "count"), 3);
  EXPECT_EQ(file.double_attribute("data", "ratio"), 0.5);
  EXPECT_EQ(file.double_attribute("data", "count"), 3.0);
  EXPECT_EQ(file.string_attribute("data", "long").size(), 200000u);
  EXPECT_TRUE(file.has_attribute("data", "count"));
  EXPECT_FALSE(file.has_attribute("data", "none") || file.has_attribute("none", "count"));
  EXPECT_THAT(input_error([&] { file.int_attribute("/", "none"); }), HasSubstr("'none'"));
  EXPECT_THAT(input_error([&] { file.int_attribute("/", "text"); }), HasSubstr("whole number"));
  EXPECT_THAT(input_error([&] { file.string_attribute("data", "count"); }), HasSubstr("text"));
}

TEST(Hdf5, KeepsTexts) {
  const TempDir dir;
  auto file = H5File::create(dir.file("a.h5"));
  const std::string longer(100000, 'y');
  for (const std::string& text : {std::string(), std::string("crêpe\n{}"), longer})
    file.write_text(at::str("text", text.size()), text);
  EXPECT_EQ(file.read_text("text0"), "");
  EXPECT_EQ(file.read_text("text9"), "crêpe\n{}");
  EXPECT_EQ(file.read_text("text100000"), longer);
  file.write("number", at::zeros({1}));
  EXPECT_THAT(input_error([&] { file.read_text("number"); }), HasSubstr("'number'"));
}

// data/h5py.h5 was written by h5py 3.16 with NumPy values.
TEST(Hdf5, ReadsWhatH5pyWrites) {
  const auto file = H5File::open(GALETTE_TEST_DATA "/io/data/h5py.h5");
  EXPECT_EQ(file.string_attribute("/", "text"), "crêpe");
  EXPECT_EQ(file.string_attribute("/", "fixed"), "fixed text");
  EXPECT_EQ(file.string_attribute("/", "empty"), "");
  EXPECT_EQ(file.int_attribute("/", "flag"), 1);
  EXPECT_EQ(file.int_attribute("/", "count"), -7);
  EXPECT_EQ(file.double_attribute("/", "ratio"), 0.25);
  EXPECT_EQ(file.int_attribute("group", "one"), 3);
  EXPECT_TRUE(file.read("flags").equal(at::tensor({1, 0, 1}, at::kByte)));
  EXPECT_TRUE(file.read_rows("flags", 1, 2).equal(at::tensor({0, 1}, at::kByte)));
  EXPECT_TRUE(file.read("short").equal(at::tensor({-3, 300}, at::kInt)));
  EXPECT_TRUE(file.read("unsigned").equal(at::tensor({4294967295}, at::kLong)));
  EXPECT_TRUE(file.read("scalar").equal(at::full({}, 1.5, at::kDouble)));
  EXPECT_TRUE(file.read("big_endian").equal(at::tensor({1.0f, -2.5f})));
  EXPECT_EQ(file.read("nothing").numel(), 0);
  EXPECT_TRUE(file.read("packed").equal(at::arange(1000)));
  const auto half = file.read("half");
  EXPECT_EQ(half.scalar_type(), at::kHalf);
  // The largest and the smallest positive half, so the bias and the subnormals are right.
  EXPECT_TRUE(half.to(at::kDouble)
                  .equal(at::tensor({0.5, -2.0, 65504.0, 0x1p-24}, at::kDouble).view({2, 2})));
  EXPECT_THAT(input_error([&] { file.read("words"); }), HasSubstr("'words'"));
}

TEST(Hdf5, BadFilesAreNamedInOneLine) {
  const TempDir dir;
  const auto missing = dir.file("missing.h5");
  EXPECT_THAT(input_error([&] { H5File::open(missing); }),
              AllOf(HasSubstr(missing), HasSubstr("No such file")));
  EXPECT_THAT(input_error([&] { H5File::open(dir.path()); }), HasSubstr("is a folder"));
  EXPECT_THAT(input_error([&] { H5File::create(dir.file("no/such/folder.h5")); }),
              HasSubstr("cannot be created"));

  std::ofstream(dir.file("text.h5")) << "this is not HDF5\n";
  EXPECT_THAT(input_error([&] { H5File::open(dir.file("text.h5")); }),
              AllOf(HasSubstr("text.h5"), HasSubstr("not an HDF5 file")));
  const std::ofstream empty(dir.file("empty.h5"));
  EXPECT_THAT(input_error([&] { H5File::open(dir.file("empty.h5")); }), HasSubstr("empty.h5"));

  auto file = H5File::create(dir.file("cut.h5"));
  file.write("values", at::zeros({1000}));
  file.close();
  std::filesystem::resize_file(dir.file("cut.h5"), 2000);
  EXPECT_THAT(input_error([&] { H5File::open(dir.file("cut.h5")); }), HasSubstr("truncated"));
}

TEST(Hdf5, MissingOrWrongObjectsAreNamed) {
  const TempDir dir;
  auto file = H5File::create(dir.file("a.h5"));
  file.create_group("group");
  EXPECT_THAT(input_error([&] { file.read("none"); }),
              AllOf(HasSubstr("a.h5"), HasSubstr("'none'")));
  EXPECT_THAT(input_error([&] { file.read("group"); }), HasSubstr("not a dataset"));
  EXPECT_THAT(input_error([&] { file.list("none"); }), HasSubstr("'none'"));
  EXPECT_THROW(file.write("t", at::zeros({4, 4}).t()), c10::Error);
  EXPECT_THROW(file.write("b", at::zeros({4}, at::kBFloat16)), c10::Error);
}

TEST(Hdf5Ranks, AllRanksWriteOneDataset) {
  int rank = 0, size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const TempDir dir(MPI_COMM_WORLD);
  // Rank r owns 1000*r rows: rank 0 takes part with none.
  const int64_t begin = 1000 * rank * (rank - 1) / 2, total = 1000 * size * (size - 1) / 2;
  const auto rows = at::arange(begin * 3, (begin + 1000 * rank) * 3, at::kDouble).view({-1, 3});
  if (rank == 0) {
    auto file = H5File::create(dir.file("a.h5"));
    file.create_dataset("rows", at::kDouble, {total, 3});
    file.close();
  }
  MPI_Barrier(MPI_COMM_WORLD);
  auto file = H5File::open_parallel(dir.file("a.h5"), MPI_COMM_WORLD);
  file.write_rows("rows", begin, rows);
  file.flush();
  file.close();

  file = H5File::open(dir.file("a.h5"));
  EXPECT_TRUE(file.read("rows").equal(at::arange(total * 3, at::kDouble).view({-1, 3})));
}

}  // namespace
}  // namespace galette::io
