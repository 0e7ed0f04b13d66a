// SPDX-License-Identifier: Apache-2.0
// Checkpoints that a crash or the storage has damaged, and writes that are killed half-way.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include "io/check.h"
#include "io/checkpoint.h"
#include "io/hdf5.h"
#include "tests/io/checkpoint_fixture.h"
#include "tests/support/temp_dir.h"

namespace galette::io {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::TempDir;

/// What a command prints; its exit status must be zero.
std::string output_of(const std::string& command) {
  std::string text;
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  std::array<char, 4096> buffer{};
  while (const size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe))
    text.append(buffer.data(), size);
  EXPECT_EQ(pclose(pipe), 0) << command << "\n" << text;
  return text;
}

/// A number from the environment, for tests that take longer than those of every day.
int64_t setting(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoll(text);
}

/// True when the file is found damaged; otherwise it must read as `content` in full.
bool found_damaged(const std::string& path, const CheckpointContent& content) {
  auto read = blank_content();
  try {
    read_checkpoint(path, read, MPI_COMM_SELF);
  } catch (const DamagedFile&) {
    return true;
  }
  EXPECT_TRUE(equal(read, content)) << "undetected damage";
  return false;
}

class CheckpointDamage : public ::testing::Test {
 protected:
  CheckpointDamage() { write_checkpoint(path_, content_, MPI_COMM_SELF); }
  void copy() const { fs::copy_file(path_, copy_, fs::copy_options::overwrite_existing); }

  TempDir dir_;
  CheckpointContent content_ = sample_content(5);
  std::string path_ = dir_.file("c.h5");
  std::string copy_ = dir_.file("copy.h5");
};

TEST_F(CheckpointDamage, EveryTruncationIsFound) {
  const auto size = fs::file_size(path_);
  const auto step = static_cast<uint64_t>(setting("GALETTE_SOAK_TRUNCATION", 49999));
  for (uint64_t length = 0; length < size; length += step) {
    copy();
    fs::resize_file(copy_, length);
    EXPECT_TRUE(found_damaged(copy_, content_)) << "at " << length;
  }
  copy();
  fs::resize_file(copy_, size - 1);
  EXPECT_TRUE(found_damaged(copy_, content_));
}

// Alignment leaves gaps and the named views are not read back, so a flip may also hit nothing that
// matters: then the content must be intact. In the arrays every flip must be found.
TEST_F(CheckpointDamage, NoFlippedBitGoesUnnoticed) {
  const auto file = H5File::open(path_);
  const auto size = static_cast<int64_t>(fs::file_size(path_));
  const int64_t data = file.raw_offset("arrays/params");
  std::mt19937 random(1);
  copy();
  std::fstream stream(copy_, std::ios::in | std::ios::out | std::ios::binary);
  const auto flip = [&](int64_t position, int bit) {
    stream.seekg(position);
    const int byte = stream.get();
    stream.seekp(position);
    stream.put(static_cast<char>(byte ^ (1 << bit)));
    stream.flush();
  };
  const int64_t flips = setting("GALETTE_SOAK_FLIPS", 200);
  for (int64_t i = 0; i < flips; ++i) {
    const int64_t position = std::uniform_int_distribution<int64_t>(0, size - 1)(random);
    const int bit = static_cast<int>(random() % 8);
    flip(position, bit);
    const bool found = found_damaged(copy_, content_);
    if (position >= data && position < data + kSampleParams * 4) {
      EXPECT_TRUE(found) << position;
    }
    flip(position, bit);
  }
  EXPECT_FALSE(found_damaged(copy_, content_));  // all flips are undone
}

TEST_F(CheckpointDamage, EveryByteOfTheMetadataMayFlip) {
  const int64_t end = H5File::open(path_).raw_offset("arrays/params");
  std::ifstream original(path_, std::ios::binary);
  std::string head(static_cast<size_t>(std::min<int64_t>(end, 4096)), '\0');
  original.read(head.data(), static_cast<std::streamsize>(head.size()));
  copy();
  int found = 0;
  for (size_t i = 0; i < head.size(); i += 5) {
    std::string changed = head;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    std::fstream(copy_, std::ios::in | std::ios::out | std::ios::binary) << changed;
    found += found_damaged(copy_, content_) ? 1 : 0;
  }
  EXPECT_GT(found, 30);  // superblock, object headers, texts
}

TEST_F(CheckpointDamage, AFileWithoutItsCommitMarkIsRefused) {
  copy();
  auto file = H5File::open_for_writing(copy_);
  ASSERT_GE(H5Ldelete(file.id(), "commit", H5P_DEFAULT), 0);
  file.close();
  EXPECT_TRUE(found_damaged(copy_, content_));
}

TEST_F(CheckpointDamage, AFlippedStateIsNamed) {
  copy();
  auto file = H5File::open_for_writing(copy_);
  ASSERT_GE(H5Ldelete(file.id(), "state", H5P_DEFAULT), 0);
  file.write_text("state", sample_content(6).state.dump());
  file.close();
  auto read = blank_content();
  try {
    read_checkpoint(copy_, read, MPI_COMM_SELF);
    ADD_FAILURE();
  } catch (const DamagedFile& error) {
    EXPECT_THAT(error.what(), HasSubstr("state"));
  }
}

TEST_F(CheckpointDamage, ANewerFormatIsNotDamage) {
  copy();
  auto file = H5File::open_for_writing(copy_);
  file.set_attribute("/", "format_version", 2);
  file.close();
  auto read = blank_content();
  try {
    read_checkpoint(copy_, read, MPI_COMM_SELF);
    ADD_FAILURE();
  } catch (const DamagedFile&) {
    ADD_FAILURE();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("version 2"));
  }
}

TEST_F(CheckpointDamage, OtherProgramsReadTensorsByName) {
  if (std::system("command -v h5dump > /dev/null") != 0) GTEST_SKIP() << "h5dump is not installed";
  const auto text = output_of("h5dump -d /G_ema/synthesis.b4.fc1.weight " + path_ + " 2>&1");
  EXPECT_THAT(text, HasSubstr("( 3, 4 )"));
  EXPECT_THAT(text, HasSubstr("(0,0): 505, 505.5, 506, 506.5"));  // elements 1000.. of i/2 + 5
  EXPECT_THAT(output_of("h5dump -d /state " + path_ + " 2>&1"), HasSubstr("\"pl_mean\":0.5"));
}

// Runs in a process of its own, started by the test below.
TEST(CheckpointChild, DISABLED_Write) {
  const std::string folder = std::getenv("GALETTE_TEST_FOLDER");
  write_checkpoint(folder + "/" + checkpoint_name(2), sample_content(2), MPI_COMM_WORLD);
}

/// How to run the test above: a fresh environment, since this process may itself have been started
/// by mpirun.
std::string child_command(const TempDir& dir, const std::string& variables,
                          const std::string& launcher) {
  return fmt::format(
      "env -i PATH=\"$PATH\" HOME=\"$HOME\" LD_LIBRARY_PATH=\"$LD_LIBRARY_PATH\" "
      "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1 "
      "GALETTE_TEST_FOLDER={} {} timeout 60 {} {} --gtest_also_run_disabled_tests "
      "--gtest_filter=CheckpointChild.DISABLED_Write > {} 2>&1",
      dir.path(), variables, launcher, fs::read_symlink("/proc/self/exe").string(),
      dir.file("log"));
}

// After a loss of power, every prefix of this order leaves a valid checkpoint: the data are on the
// storage before the name, and the name before the pointer.
TEST(CheckpointOrder, DataAreSyncedBeforeTheyAreNamed) {
  if (std::system("strace -o /dev/null true 2> /dev/null") != 0) GTEST_SKIP() << "needs strace";
  const TempDir dir;
  const std::string trace = dir.file("trace");
  const std::string strace = "strace -f -y -e trace=fsync,rename,renameat,renameat2 -o " + trace;
  ASSERT_EQ(std::system(child_command(dir, "", strace).c_str()), 0);
  std::ifstream lines(trace);
  std::vector<std::string> events;
  for (std::string line; std::getline(lines, line);) {
    const bool is_sync = line.find("fsync(") != line.npos;
    const bool is_rename = line.find("rename") != line.npos;
    if ((!is_sync && !is_rename) || line.find(dir.path()) == line.npos) continue;
    const bool is_pointer = line.find("latest") != line.npos;
    const bool is_folder = line.find(dir.path() + ">") != line.npos;
    events.emplace_back(is_rename   ? (is_pointer ? "name pointer" : "name data")
                        : is_folder ? "sync folder"
                                    : "sync data");
  }
  const auto at = [&](const char* event) {
    return std::find(events.begin(), events.end(), event) - events.begin();
  };
  EXPECT_THAT(events,
              ::testing::IsSupersetOf({"sync data", "name data", "sync folder", "name pointer"}));
  EXPECT_LT(at("sync data"), at("name data"));
  EXPECT_LT(at("name data"), at("sync folder"));
  EXPECT_LT(at("sync folder"), at("name pointer"));
  EXPECT_EQ(std::find(events.begin() + at("name data"), events.end(), "sync data"), events.end());
}

class CheckpointKill : public ::testing::TestWithParam<const char*> {};

TEST_P(CheckpointKill, LeavesAValidCheckpoint) {
  const std::string point = GetParam();
  const TempDir dir;
  write_checkpoint(dir.file(checkpoint_name(1)), sample_content(1), MPI_COMM_SELF);
  const std::string command =
      child_command(dir, "GALETTE_FAULT=checkpoint:" + point, "mpirun --oversubscribe -n 2");
  EXPECT_NE(std::system(command.c_str()), 0);

  const bool replaced = point == "pointer";  // the only point after the rename
  EXPECT_EQ(fs::exists(dir.file(checkpoint_name(2) + ".tmp")), !replaced);
  sweep_checkpoint_temporaries(dir.path());
  EXPECT_FALSE(fs::exists(dir.file(checkpoint_name(2) + ".tmp")));
  auto read = blank_content();
  const auto loaded = load_newest_checkpoint(dir.path(), read, MPI_COMM_SELF);
  const int step = replaced ? 2 : 1;
  EXPECT_EQ(loaded.path, dir.file(checkpoint_name(step)));
  EXPECT_TRUE(equal(read, sample_content(step)));
}

INSTANTIATE_TEST_SUITE_P(Points, CheckpointKill,
                         ::testing::Values("create", "write:1", "flush", "close", "fsync", "rename",
                                           "pointer"));

}  // namespace
}  // namespace galette::io
