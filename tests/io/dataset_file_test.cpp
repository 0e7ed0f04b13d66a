// SPDX-License-Identifier: Apache-2.0
#include "io/dataset_file.h"

#include <thread>

#include "io/dataset_packer.h"
#include "io/hdf5.h"
#include "tests/io/image_files.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

using namespace testing;
using galette::testing::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kCount = 6;

/// A dataset of six 8x8 images of classes 0 0 1 1 2 2, and ways to spoil it.
class DatasetFile : public ::testing::Test {
 protected:
  DatasetFile() {
    std::map<std::string, Bytes> files;
    std::string labels;
    for (int i = 0; i < kCount; ++i) {
      files[fmt::format("{}.png", i)] = encode_png(sample_image(8, 8, 3, i));
      labels += fmt::format("{}[\"{}.png\", {}]", i > 0 ? "," : "", i, i / 2);
    }
    files["dataset.json"] = to_bytes("{\"labels\": [" + labels + "]}");
    write_files(dir_.file("images"), files);
    PackOptions options;
    options.source = dir_.file("images");
    options.dest = path_;
    pack_dataset(options, MPI_COMM_SELF, [](int64_t, int64_t) {});
  }

  /// Changes the file through HDF5.
  void edit(const std::function<void(H5File&)>& change) {
    H5File file = H5File::open_for_writing(path_);
    change(file);
    file.close();
  }
  void expect_refused(const std::string& part) {
    EXPECT_THAT(input_error([&] { Dataset::open(path_); }),
                AllOf(StartsWith(path_ + ": "), HasSubstr(part)));
  }
  /// Replaces /images by a dataset of another shape, with attributes to match.
  void reshape(const std::vector<int64_t>& shape) {
    edit([&](H5File& file) {
      ASSERT_GE(H5Ldelete(file.id(), "images", H5P_DEFAULT), 0);
      file.write("images", at::zeros(shape, at::kByte));
    });
  }
  Bytes image(const Dataset& data, int64_t item) {
    Bytes bytes(size_t(data.info().image_bytes()));
    data.read(item, bytes.data());
    return bytes;
  }

  TempDir dir_;
  std::string path_ = dir_.file("set.h5");
};

TEST_F(DatasetFile, Info) {
  const Dataset data = Dataset::open(path_);
  EXPECT_EQ(data.info().name, "set");
  EXPECT_EQ(data.info().num_images, kCount);
  EXPECT_EQ(data.info().resolution, 8);
  EXPECT_EQ(data.info().channels, 3);
  EXPECT_EQ(data.info().label_dim, 3);
  EXPECT_EQ(data.info().fingerprint.size(), 64u);
  EXPECT_EQ(data.label_dim(), 3);
}

TEST_F(DatasetFile, MirrorImagesFollow) {
  const Dataset data = Dataset::open(path_, {.mirror = true});
  ASSERT_EQ(data.size(), 2 * kCount);
  const at::Tensor plain = data.images({0, 1, 2, 3, 4, 5});
  const at::Tensor mirrored = data.images({6, 7, 8, 9, 10, 11});
  EXPECT_TRUE(at::equal(mirrored, plain.flip({3})));
  EXPECT_FALSE(at::equal(mirrored, plain));
  EXPECT_TRUE(at::equal(data.label(10), data.label(4)));
}

TEST_F(DatasetFile, SubsetsComeBeforeMirroring) {
  const Dataset data = Dataset::open(path_, {.mirror = true, .max_size = 2, .seed = 4});
  const Dataset all = Dataset::open(path_);
  ASSERT_EQ(data.size(), 4);
  EXPECT_LT(data.items().raw_index(0), data.items().raw_index(1));
  EXPECT_EQ(image(data, 1), image(all, data.items().raw_index(1)));
  EXPECT_EQ(data.label_dim(), 3) << "the width does not depend on the subset";
  EXPECT_ANY_THROW(data.label(4));
}

TEST_F(DatasetFile, LabelsCanBeHidden) {
  const Dataset data = Dataset::open(path_, {.labels = false});
  EXPECT_EQ(data.label_dim(), 0);
  EXPECT_EQ(data.labels({0, 1}).sizes(), (at::IntArrayRef{2, 0}));
  EXPECT_EQ(data.info().label_dim, 3);
}

TEST_F(DatasetFile, AnyNumberOfThreadsMayRead) {
  const Dataset data = Dataset::open(path_, {.cache_bytes = 1 << 20});
  std::vector<at::Tensor> results(4);
  std::vector<std::thread> threads;
  for (at::Tensor& result : results) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) result = data.images({0, 1, 2, 3, 4, 5});
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const at::Tensor& result : results) EXPECT_TRUE(at::equal(result, results[0]));
}

TEST_F(DatasetFile, TheFingerprintNamesTheContent) {
  const std::string before = Dataset::open(path_).info().fingerprint;
  std::filesystem::copy_file(path_, dir_.file("renamed.h5"));
  EXPECT_EQ(Dataset::open(dir_.file("renamed.h5")).info().fingerprint, before);
  edit([](H5File& file) { file.write_rows("labels/class", 0, at::tensor({int64_t{1}})); });
  EXPECT_NE(Dataset::open(path_).info().fingerprint, before);
}

TEST_F(DatasetFile, VerifyFindsAChangedByte) {
  Dataset::open(path_).verify();
  const int64_t offset = H5File::open(path_).raw_offset("images");
  Bytes bytes = read_file(path_);
  bytes[size_t(offset) + 2 * 192 + 5] ^= 1;
  write_file(path_, bytes);
  const Dataset data = Dataset::open(path_);
  EXPECT_THAT(input_error([&] { data.verify(); }), HasSubstr("image 2 "));
}

TEST_F(DatasetFile, MissingOrNoDataset) {
  path_ = dir_.file("missing.h5");
  expect_refused("No such file");
  write_file(path_, to_bytes("something else"));
  expect_refused("not an HDF5 file");
  H5File::create(path_).close();
  expect_refused("not a Galette dataset");
  H5File network = H5File::create(path_);
  network.set_attribute("/", "format", "galette-network");
  network.close();
  expect_refused("not a Galette dataset");
}

TEST_F(DatasetFile, FoldersAndArchivesNameTheCommand) {
  path_ = dir_.file("images");
  expect_refused("galette dataset --source=");
  path_ = dir_.file("images.zip");
  write_zip(path_, {{"a.png", {1}}});
  expect_refused("galette dataset --source=");
}

TEST_F(DatasetFile, TruncatedAnywhere) {
  const Bytes whole = read_file(path_);
  for (size_t size = 0; size < whole.size(); size += 97) {
    std::filesystem::resize_file(path_, size);
    EXPECT_THAT(input_error([&] { Dataset::open(path_); }), HasSubstr("set.h5")) << size;
    write_file(path_, whole);
  }
}

TEST_F(DatasetFile, CutWhileOpen) {
  const Dataset data = Dataset::open(path_);
  std::filesystem::resize_file(path_, 64);
  EXPECT_THAT(input_error([&] { image(data, 3); }), HasSubstr("truncated"));
}

TEST_F(DatasetFile, NewerVersionOrOtherLayout) {
  edit([](H5File& file) { file.set_attribute("/", "format_version", 2); });
  expect_refused("version 2 is newer");
  edit([](H5File& file) {
    file.set_attribute("/", "format_version", 1);
    file.set_attribute("/", "layout", "chunked");
  });
  expect_refused("not contiguous");
}

TEST_F(DatasetFile, AttributesThatContradictTheData) {
  for (const char* name : {"num_images", "resolution", "channels", "num_classes"}) {
    int64_t truth = 0;
    edit([&](H5File& file) {
      truth = file.int_attribute("/", name);
      file.set_attribute("/", name, 999);
    });
    expect_refused(fmt::format("'{}' is 999", name));
    edit([&](H5File& file) { file.set_attribute("/", name, truth); });
  }
}

TEST_F(DatasetFile, BadShapes) {
  reshape({0, 3, 8, 8});
  expect_refused("no images");
  reshape({kCount, 3, 8, 4});
  expect_refused("not square: 4x8");
  reshape({kCount, 3, 12, 12});
  expect_refused("power of two");
  reshape({kCount, 4, 8, 8});
  expect_refused("4 channels");
  reshape({kCount, 3, 64});
  expect_refused("shape [N, C, S, S]");
}

TEST_F(DatasetFile, BadColumns) {
  edit([](H5File& file) {
    ASSERT_GE(H5Ldelete(file.id(), "checksums", H5P_DEFAULT), 0);
    file.write("checksums", at::zeros({kCount - 1}, at::kUInt32));
  });
  expect_refused("'checksums' does not fit to 6 images");
  edit([](H5File& file) { ASSERT_GE(H5Ldelete(file.id(), "checksums", H5P_DEFAULT), 0); });
  expect_refused("lacks 'checksums'");
}

TEST_F(DatasetFile, BadLabels) {
  edit([](H5File& file) { file.write_rows("labels/class", 1, at::tensor({int64_t{-1}})); });
  expect_refused("label is negative");
  edit([](H5File& file) { file.set_attribute("/", "label_kind", "text"); });
  expect_refused("'text' is unknown");
}

}  // namespace
}  // namespace galette::io
