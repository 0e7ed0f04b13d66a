// SPDX-License-Identifier: Apache-2.0
// Features of real images on disk: the same on any number of ranks, and never those of something
// else.
#include "metrics/feature_cache.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "parallel/mpi_communicator.h"
#include "tests/support/input_error.h"
#include "tests/support/temp_dir.h"

namespace galette {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using ::testing::HasSubstr;

const FeatureKey kKey{"data0123456789abcdef", "inception", "net0123456789abcdef", 2100, false};

class FeatureCacheRanks : public ::testing::Test {
 protected:
  FeatureCache cache(const FeatureKey& key, Communicator& comm) const {
    return {dir_.path(), key, comm};
  }
  SharedFeatures own_part() {
    const int64_t begin = kKey.count * world_.rank() / world_.size();
    const int64_t end = kKey.count * (world_.rank() + 1) / world_.size();
    return {rows_.slice(0, begin, end).contiguous(), world_};
  }
  FeatureMoments moments() const {
    FeatureMoments moments(kWidth);
    moments.add(rows_);
    return moments;
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(dir_.path())) files.push_back(entry.path());
    return files;
  }
  /// On rank 0, between barriers.
  void alone(const std::function<void()>& work) {
    world_.barrier();
    if (world_.rank() == 0) work();
    world_.barrier();
  }
  /// The only file, after `change`, under the name that `key` has.
  void give(const FeatureKey& key, const std::function<void(const fs::path&)>& change) {
    alone([&] {
      const fs::path kept = files().at(0);
      cache(key, self_).save(moments());
      for (const fs::path& file : files()) {
        if (file != kept) fs::copy_file(kept, file, fs::copy_options::overwrite_existing);
        if (file != kept) change(file);
      }
    });
  }

  static constexpr int64_t kWidth = 5;
  MpiCommunicator world_{MPI_COMM_WORLD}, self_{MPI_COMM_SELF};
  testing::TempDir dir_{MPI_COMM_WORLD};
  at::Tensor rows_ = at::arange(kKey.count * kWidth, at::kFloat).sin().view({kKey.count, kWidth});
};

TEST_F(FeatureCacheRanks, WhatIsKeptIsFound) {
  EXPECT_FALSE(cache(kKey, world_).load_moments(kWidth));
  EXPECT_FALSE(cache(kKey, world_).load_features(kWidth));
  cache(kKey, world_).save(moments());
  cache(kKey, world_).save(own_part());
  world_.barrier();
  for (Communicator* comm :
       {static_cast<Communicator*>(&world_), static_cast<Communicator*>(&self_)}) {
    const auto found = cache(kKey, *comm).load_moments(kWidth);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->count, kKey.count);
    EXPECT_TRUE(found->sum.equal(moments().sum));
    EXPECT_TRUE(found->products.equal(moments().products));
    const auto features = cache(kKey, *comm).load_features(kWidth);
    ASSERT_TRUE(features);
    EXPECT_EQ(features->rows(), kKey.count);
    EXPECT_TRUE(features->own().equal(rows_.narrow(0, features->first(), features->own().size(0))));
  }
  EXPECT_EQ(files().size(), 2u);
  FeatureKey other = kKey;
  other.mirrored = true;
  EXPECT_FALSE(cache(other, world_).load_moments(kWidth));
  other = kKey;
  other.count = 5;
  EXPECT_FALSE(cache(other, world_).load_features(kWidth));
}

TEST_F(FeatureCacheRanks, FeaturesOfAnotherDetectorAreRefused) {
  cache(kKey, world_).save(moments());
  FeatureKey other = kKey;
  other.detector_sha256 = "other123456789abcdef";
  give(other, [](const fs::path&) {});
  EXPECT_THAT(error_of([&] { cache(other, world_).load_moments(kWidth); }),
              HasSubstr("holds features of detector net0123456789abcdef, not other123456789abcdef; "
                        "remove it, or name another folder"));
  other = kKey;
  other.dataset_fingerprint = "datb0123456789abcdef";
  alone([&] {
    for (const fs::path& file : files()) {
      if (file.string().find("other") != std::string::npos) fs::remove(file);
    }
  });
  give(other, [](const fs::path&) {});
  EXPECT_THAT(error_of([&] { cache(other, world_).load_moments(kWidth); }),
              HasSubstr("holds features of dataset data0123456789abcdef, not datb"));
}

TEST_F(FeatureCacheRanks, DamagedFilesAreMadeAnew) {
  const auto damage = [&](const std::function<void(const fs::path&)>& change) {
    cache(kKey, world_).save(moments());
    alone([&] { change(files().at(0)); });
    EXPECT_FALSE(cache(kKey, world_).load_moments(kWidth));
    cache(kKey, world_).save(moments());
    world_.barrier();
    EXPECT_TRUE(cache(kKey, world_).load_moments(kWidth));
  };
  damage([](const fs::path& file) { fs::resize_file(file, fs::file_size(file) / 2); });
  damage([](const fs::path& file) { fs::resize_file(file, 0); });
  damage([&](const fs::path& file) {
    // A bit of the data.
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    std::string bytes(fs::file_size(file), 0);
    stream.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const double first = moments().sum[0].item<double>();
    const size_t place = bytes.find(std::string(reinterpret_cast<const char*>(&first), 8));
    ASSERT_NE(place, std::string::npos);
    stream.seekp(static_cast<std::streamoff>(place));
    stream.put(static_cast<char>(bytes[place] ^ 1));
  });
  // Of other features.
  EXPECT_FALSE(cache(kKey, world_).load_moments(kWidth + 1));
}

TEST_F(FeatureCacheRanks, WithoutAFolderNothingIsKept) {
  FeatureCache off("", kKey, world_);
  off.save(moments());
  off.save(own_part());
  EXPECT_FALSE(off.load_moments(kWidth));
  // One that vanished costs a warning.
  FeatureCache gone(dir_.file("gone"), kKey, world_);
  gone.save(moments());
  gone.save(own_part());
  EXPECT_FALSE(gone.load_features(kWidth));
}

TEST(FeatureCacheFolder, IsTheNamedOneOrTheUsersOwn) {
  const testing::TempDir dir;
  EXPECT_EQ(feature_cache_folder("off"), "");
  EXPECT_EQ(feature_cache_folder(dir.file("a/b")), dir.file("a/b"));
  EXPECT_TRUE(fs::is_directory(dir.file("a/b")));
  std::ofstream(dir.file("file")) << "x";
  EXPECT_THAT(error_of([&] { feature_cache_folder(dir.file("file")); }),
              HasSubstr("is no folder and cannot be made one"));
  EXPECT_THAT(error_of([&] { feature_cache_folder(dir.file("file/x")); }),
              HasSubstr("is no folder and cannot be made one"));
  ::setenv("XDG_CACHE_HOME", dir.file("xdg").c_str(), 1);
  EXPECT_EQ(feature_cache_folder(""), dir.file("xdg/galette"));
  ::setenv("XDG_CACHE_HOME", dir.file("file").c_str(), 1);
  EXPECT_EQ(feature_cache_folder(""), "");
  ::unsetenv("XDG_CACHE_HOME");
  ::setenv("HOME", dir.file("home").c_str(), 1);
  EXPECT_EQ(feature_cache_folder(""), dir.file("home/.cache/galette"));
}

}  // namespace
}  // namespace galette
